/** Checks whether audit trails are complete: the chain of lines, the seals of the key, and the anchors. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { StainError } from '../../../core/src/errors.ts';
import type { Anchor } from './anchor.ts';
import { type AuditKey, sha256 } from './audit-key.ts';
import { type AuditLine, isBeginning, readLine } from './audit-line.ts';

/** Maximum number of findings listed per kind; further ones still count for the verdict. */
const MAX_FINDINGS = 100;

export interface Finding {
  /**
   * rewritten: the line is not what was written. gap, repeated: lines before it are missing, or it appears a second
   * time. beginning: the first lines are not in the files. tail: the last lines are not. torn: the rest of a line cut
   * by a crash or a full disk; the chain continues after it. unsealed: no key vouches for it. missing: the whole trail
   * is not in the files.
   */
  readonly kind:
    | 'rewritten'
    | 'gap'
    | 'repeated'
    | 'beginning'
    | 'tail'
    | 'torn'
    | 'unsealed'
    | 'unknown key'
    | 'missing';
  readonly trail: string | null;
  /** Line of the finding, 1-based; null if it is in no file. */
  readonly file: string | null;
  readonly line: number | null;
  /** Number of missing events, if known. */
  readonly lost: number | null;
}

export interface AuditVerification {
  readonly events: number;
  readonly trails: readonly { readonly trail: string; readonly first: number; readonly last: number }[];
  readonly anchors: number;
  readonly findings: readonly Finding[];
  /** No finding except torn lines; with `isPartial`, also except beginnings and missing trails. */
  readonly isWhole: boolean;
}

export interface VerifyOptions {
  /** Keys that may have sealed lines. Without keys, seals cannot be checked, and sealed lines are findings. */
  readonly keys?: readonly AuditKey[];
  readonly anchors?: readonly Anchor[];
  /** The files are only a part: older ones and those of other processes are elsewhere. */
  readonly isPartial?: boolean;
}

interface Place {
  readonly file: string;
  readonly line: number;
}

interface Trail {
  readonly first: number;
  last: AuditLine;
  place: Place;
  /** Whether a sealed line vouches for what comes before. */
  isSealed: boolean;
}

/**
 * @param paths files of one or more trails, the oldest of each trail first; .gz as logrotate compresses them
 * @throws REQUEST_INVALID for a damaged .gz, and for a file with content but no line of a trail
 */
export async function verifyAuditTrail(
  paths: readonly string[],
  { keys = [], anchors = [], isPartial = false }: VerifyOptions = {},
): Promise<AuditVerification> {
  const trails = new Map<string, Trail>();
  const anchored = Map.groupBy(anchors, ({ trail }) => trail);
  const digests = new Map(anchors.map(({ trail, sequence, digest }) => [`${trail} ${sequence}`, digest]));
  const findings: Finding[] = [];
  const find = (kind: Finding['kind'], trail: string | null, place?: Place, lost: number | null = null) => {
    const { file, line } = place ?? { file: null, line: null };
    const last = findings.at(-1);
    // A changed line shows in itself, in the next line and in its anchor: report it once.
    if (last && line !== null && last.kind === kind && last.file === file && last.line === line) return;
    isWhole &&= kind === 'torn' || (isPartial && (kind === 'beginning' || kind === 'missing'));
    if (findings.filter((one) => one.kind === kind).length < MAX_FINDINGS)
      findings.push({ kind, trail, file, line, lost });
  };
  let isWhole = true;
  let events = 0;
  /** The previous line in the same file or files, whatever its trail. */
  let before: { readonly digest: string; readonly place: Place; readonly isOld: boolean } | undefined;

  const follow = (line: AuditLine, place: Place): void => {
    const { trail, sequence, previous, digest } = line;
    if (!isAsSealed(line)) find('rewritten', trail, place);
    const expected = digests.get(`${trail} ${sequence}`);
    if (expected !== undefined && expected !== digest) find('rewritten', trail, place);
    const known = trails.get(trail);
    if (known) {
      const skipped = sequence - known.last.sequence - 1;
      if (skipped < 0) {
        find('repeated', trail, place);
        return;
      }
      if (skipped > 0) find('gap', trail, place, skipped);
      else if (previous !== known.last.digest) find('rewritten', trail, known.place);
      if (known.isSealed && line.key === undefined) find('unsealed', trail, place);
      Object.assign(known, { last: line, place, isSealed: known.isSealed || line.key !== undefined });
      return;
    }
    trails.set(trail, { first: sequence, last: line, place, isSealed: line.key !== undefined });
    if (sequence > 1) find('beginning', trail, place, sequence - 1);
    // A trail that begins in a file behind another trail, or behind lines of an older version, vouches for them.
    else if (isBeginning(previous) ? isBehindOld(place) : previous !== before?.digest) {
      if (before?.place.file === place.file) find('rewritten', trail, before.place);
      else find('beginning', trail, place);
    }
  };

  /** A trail that continues after lines of an older version says so. */
  const isBehindOld = ({ file }: Place): boolean => before?.isOld === true && before.place.file === file;

  const isAsSealed = ({ key, body, digest }: AuditLine): boolean => {
    if (key === undefined) return sha256(body) === digest;
    return keys.find(({ id }) => id === key)?.seal(body) === digest;
  };

  for (const file of paths) {
    const eventsBefore = events;
    let number = 0;
    /** The file, if it has one line. */
    let only = '';
    let wasOld = false;
    for await (const text of linesOf(file)) {
      const place = { file, line: ++number };
      only = number === 1 ? text : '';
      if (text === '') continue;
      const line = readLine(text);
      if (!line) {
        find('torn', null, place);
        continue;
      }
      events++;
      if (line.trail !== undefined) {
        wasOld = false;
        if (line.key !== undefined && !keys.some(({ id }) => id === line.key))
          find('unknown key', line.trail, place);
        else follow(line, place);
      } else {
        // If the oldest files are gone, the trail begins with its first remaining line. No older version has written
        // after a newer one: nobody vouches for such a line.
        if (before && (!before.isOld || line.previous !== before.digest))
          find('rewritten', null, wasOld ? before.place : place);
        wasOld = true;
      }
      before = { digest: line.digest, place, isOld: line.trail === undefined };
    }
    // A crash may leave a part of the first line, and no more.
    if (number > 0 && events === eventsBefore && !only.startsWith('{'))
      throw new StainError('REQUEST_INVALID', `${file} is not an audit trail.`);
  }

  for (const [trail, { last, place, isSealed }] of trails) {
    const end = Math.max(0, ...(anchored.get(trail) ?? []).map(({ sequence }) => sequence));
    if (end > last.sequence) find('tail', trail, place, end - last.sequence);
    if (keys.length > 0 && !isSealed) find('unsealed', trail, place);
  }
  for (const [trail, some] of anchored)
    if (!trails.has(trail) && !findings.some((one) => one.trail === trail))
      find('missing', trail, undefined, Math.max(...some.map(({ sequence }) => sequence)));

  return {
    events,
    trails: [...trails].map(([trail, { first, last }]) => ({ trail, first, last: last.sequence })),
    anchors: anchors.length,
    findings,
    isWhole,
  };
}

async function* linesOf(file: string): AsyncGenerator<string> {
  if (!file.endsWith('.gz')) {
    yield* createInterface({ input: createReadStream(file), crlfDelay: Infinity });
    return;
  }
  const input = createGunzip();
  const fault = pipeline(createReadStream(file), input).then(
    () => undefined,
    (cause: unknown) => cause,
  );
  try {
    yield* createInterface({ input, crlfDelay: Infinity });
    const cause = await fault;
    if (cause) throw cause;
  } catch (cause) {
    throw new StainError('REQUEST_INVALID', `The file ${file} cannot be decompressed.`, { cause });
  }
}
