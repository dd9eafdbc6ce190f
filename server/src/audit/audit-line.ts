/**
 * A line of an audit trail: an event, its number, the digest of the previous line, and its own digest. With a key the
 * digest is an HMAC, so that nobody without the key can rewrite a line and all that follow.
 */
import { type AuditKey, sha256 } from './audit-key.ts';

/** The "previous digest" of the first line of a trail. */
const BEGINNING = '0'.repeat(64);

/** The last line of a trail. */
export interface TrailHead {
  /** UUID of the trail, which a single process writes, across restarts. */
  readonly trail: string;
  /** Lines are numbered from 1; 0 before the first line. */
  readonly sequence: number;
  readonly digest: string;
}

export interface AuditLine extends TrailHead {
  readonly previous: string;
  /** Id of the key that sealed the line. */
  readonly key: string | undefined;
  /** The text that the digest covers. */
  readonly body: string;
}

/** A line of version 0.1.0: without trail and number; the next line has the SHA-256 of the whole line. */
export interface OldAuditLine {
  readonly previous: string;
  readonly digest: string;
  readonly trail?: undefined;
}

/** @param digest of the previous line in the file, if that belongs to another trail or an older version */
export function beginTrail(trail: string, digest = BEGINNING): TrailHead {
  return { trail, sequence: 0, digest };
}

export function isBeginning(digest: string): boolean {
  return digest === BEGINNING;
}

/** The line after `head`, without its line break, and the new head of the trail. */
export function nextLine(
  { trail, sequence, digest: previous }: TrailHead,
  event: object,
  key: AuditKey | undefined,
): { text: string; head: TrailHead } {
  const line = { trail, sequence: sequence + 1, previous, ...(key && { key: key.id }), event };
  const body = JSON.stringify(line);
  const digest = (key?.seal ?? sha256)(body);
  return {
    text: `${body.slice(0, -1)},"digest":"${digest}"}`,
    head: { trail, sequence: line.sequence, digest },
  };
}

/** `event` comes before the digest and is not inspected: it may contain anything. */
const SEALED = /^(.*),"digest":"([0-9a-f]{64})"\}$/s;

/** Undefined if the text is not a line of a trail, such as the rest of a torn one. */
export function readLine(text: string): AuditLine | OldAuditLine | undefined {
  let line: { trail?: unknown; sequence?: unknown; previous?: unknown; key?: unknown };
  try {
    line = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { trail, sequence, previous, key } = line ?? {};
  if (typeof previous !== 'string') return undefined;
  if (trail === undefined) return { previous, digest: sha256(text) };
  const [, body, digest] = SEALED.exec(text) ?? [];
  if (typeof trail !== 'string' || !Number.isSafeInteger(sequence) || digest === undefined) return undefined;
  return {
    trail,
    sequence: sequence as number,
    previous,
    key: typeof key === 'string' ? key : undefined,
    body: `${body}}`,
    digest,
  };
}
