/**
 * A line of an audit trail: an event, its number, the digest of the line before, and its own. With a key the digest is an
 * HMAC, so that nobody without the key can rewrite a line and all that follow.
 */
import { type AuditKey, sha256 } from './audit-key.ts';

/** What the first line of a trail follows. */
const BEGINNING = '0'.repeat(64);

/** Where a trail stands: its last line. */
export interface TrailHead {
  /** UUID of the trail: one process writes it, across restarts. */
  readonly trail: string;
  /** Lines are numbered from 1; 0 before the first. */
  readonly sequence: number;
  readonly digest: string;
}

export interface AuditLine extends TrailHead {
  readonly previous: string;
  /** Id of the key that sealed it. */
  readonly key: string | undefined;
  /** What the digest is of. */
  readonly body: string;
}

/** A line of version 0.1.0: no trail, no number; the next one has the SHA-256 of all of it. */
export interface OldAuditLine {
  readonly previous: string;
  readonly digest: string;
  readonly trail?: undefined;
}

/** @param digest of the line before in the file, of another trail or an older version */
export function beginTrail(trail: string, digest = BEGINNING): TrailHead {
  return { trail, sequence: 0, digest };
}

export function isBeginning(digest: string): boolean {
  return digest === BEGINNING;
}

/** The line after `head`, without its line break, and where the trail stands with it. */
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

/** `event` comes before the digest and is not looked at: it may hold anything. */
const SEALED = /^(.*),"digest":"([0-9a-f]{64})"\}$/s;

/** Undefined for what is no line of a trail, such as the rest of one that was torn. */
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
