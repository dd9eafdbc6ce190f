/** `audit verify FILE...`: whether audit trails are whole. `audit anchors`: what the database knows of them. */
import { readFile, stat } from 'node:fs/promises';
import { type Anchor, openAnchorTable, parseAnchors } from '../audit/anchor.ts';
import { readAuditKey } from '../audit/audit-key.ts';
import { type AuditVerification, type Finding, verifyAuditTrail } from '../audit/verify-trail.ts';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';
import { openDatabase } from '../jobs/database.ts';

export interface AuditVerifyArguments {
  /** Of each trail oldest first. */
  readonly files: readonly string[];
  readonly keyFile: readonly string[];
  readonly anchors?: string | undefined;
  readonly partial: boolean;
}

/** @throws REQUEST_INVALID for files that are not there, CONFIGURATION_INVALID */
export async function auditVerifyCommand(
  { files, keyFile, anchors, partial }: AuditVerifyArguments,
  config: Pick<Config, 'audit' | 'database' | 'jobs'>,
): Promise<AuditVerification> {
  for (const file of [...files, ...(anchors === undefined ? [] : [anchors])])
    await stat(file).catch((cause: unknown) => {
      throw new StainError('REQUEST_INVALID', `There is no file ${file}.`, { cause });
    });
  const configured = config.audit.keyFile === undefined ? [] : [config.audit.keyFile];
  const keys = await Promise.all((keyFile.length > 0 ? keyFile : configured).map(readAuditKey));
  const known =
    anchors !== undefined
      ? parseAnchors(await readFile(anchors, 'utf8'))
      : config.database.url !== undefined
        ? await auditAnchorsCommand(config)
        : [];
  return verifyAuditTrail(files, { keys, anchors: known, isPartial: partial });
}

/** @throws CONFIGURATION_INVALID, also while a service has the embedded database open */
export async function auditAnchorsCommand({
  database,
  jobs,
}: Pick<Config, 'database' | 'jobs'>): Promise<Anchor[]> {
  const opened = await openDatabase({
    ...database,
    heartbeatSeconds: jobs.heartbeatSeconds,
    // What the queue does in the background is nothing to this command.
    onError: () => {},
  });
  try {
    return await (await openAnchorTable(opened)).all();
  } finally {
    await opened.close();
  }
}

const MEANINGS: Record<Finding['kind'], string> = {
  rewritten: 'is not as it was written',
  gap: 'does not follow the one before: lines between them are missing',
  repeated: 'stands here a second time, or out of its place',
  beginning: 'is not the first: what was before it is missing',
  tail: 'was not the last: what was after it is missing',
  torn: 'is the rest of a line that a crash or a full disk has cut; the trail goes on after it',
  unsealed: 'is sealed by no key',
  'unknown key': 'is sealed by a key that was not given (--key-file)',
  missing: 'is in none of the files',
};

export function describeVerification({
  events,
  trails,
  anchors,
  findings,
  isWhole,
}: AuditVerification): string {
  const known = anchors > 0 ? `${anchors} anchors` : 'no anchors: an end that was cut off is not noticed';
  return [
    `${events} events, ${trails.length} trails, ${known}.`,
    ...findings.map(({ kind, trail, file, line, lost }) => {
      const what = file === null ? `The trail ${trail}` : `${file}, line ${line}:`;
      return `${what} ${MEANINGS[kind]}${lost === null ? '' : ` (${lost} lines)`}.`;
    }),
    isWhole ? 'The trail is whole.' : 'The trail is broken.',
  ].join('\n');
}
