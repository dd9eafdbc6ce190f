/** `audit verify FILE...`: whether audit trails are complete. `audit anchors`: the anchors in the database. */
import { readFile, stat } from 'node:fs/promises';
import { StainError } from '../../../core/src/errors.ts';
import { type Anchor, anchorTable, parseAnchors } from '../audit/anchor.ts';
import { readAuditKey } from '../audit/audit-key.ts';
import { type AuditVerification, type Finding, verifyAuditTrail } from '../audit/verify-trail.ts';
import type { Config } from '../config.ts';
import { openDatabase } from '../jobs/database.ts';

export interface AuditVerifyArguments {
  /** The oldest of each trail first. */
  readonly files: readonly string[];
  readonly keyFile: readonly string[];
  readonly anchors?: string | undefined;
  readonly partial: boolean;
}

/** @throws REQUEST_INVALID for missing files, CONFIGURATION_INVALID */
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

/** @throws DATABASE_NEWER; CONFIGURATION_INVALID, also while a service has the embedded database open */
export async function auditAnchorsCommand({
  database,
  jobs,
}: Pick<Config, 'database' | 'jobs'>): Promise<Anchor[]> {
  const opened = await openDatabase({
    ...database,
    heartbeatSeconds: jobs.heartbeatSeconds,
    // Background work of the queue does not matter to this command.
    onError: () => {},
  });
  try {
    return await anchorTable(opened).all();
  } finally {
    await opened.close();
  }
}

const MEANINGS: Record<Finding['kind'], string> = {
  rewritten: 'was changed after it was written',
  gap: 'does not follow the previous line: lines are missing in between',
  repeated: 'is repeated or out of place',
  beginning: 'is not the first: the lines before it are missing',
  tail: 'was not the last: the lines after it are missing',
  torn: 'is the rest of a line cut off by a crash or a full disk; the trail continues after it',
  unsealed: 'is not sealed by any key',
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
  const known = anchors > 0 ? `${anchors} anchors` : 'no anchors: a missing end goes unnoticed';
  return [
    `${events} events, ${trails.length} trails, ${known}.`,
    ...findings.map(({ kind, trail, file, line, lost }) => {
      const what = file === null ? `The trail ${trail}` : `${file}, line ${line}:`;
      return `${what} ${MEANINGS[kind]}${lost === null ? '' : ` (${lost} lines)`}.`;
    }),
    isWhole ? 'The trail is complete.' : 'The trail is broken.',
  ].join('\n');
}
