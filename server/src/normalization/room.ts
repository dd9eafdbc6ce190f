/**
 * Who gets room in the spool, as plain values: no files, no clock. Older jobs come first, so that one always gets through:
 * it takes what younger ones hold that wait, and the room that it waits for is kept for it. docs/operations.md tells it.
 */

/** What one folder of the spool may take. */
export interface Holding {
  /** Name of the folder. */
  readonly name: string;
  /** Bytes of its files, and in work those that may still be written. */
  readonly bytes: number;
  /**
   * working: somebody writes in it. waiting: its job waits for room, or for a process to go on with it. resting: its job
   * waits for something else, such as an archive that is away. failed: its job could go on if it were asked for again.
   */
  readonly state: 'working' | 'waiting' | 'resting' | 'failed';
  /** Bytes in all that it was refused last; 0 where it has what it wants. */
  readonly wants: number;
  /** When its job was asked for (ISO 8601): what is older comes first. Undefined for what is no job's. */
  readonly createdAt: string | undefined;
  /** Milliseconds of the clock when it came into this state. */
  readonly since: number;
  /** The attempt that writes, or wrote last. */
  readonly owner: string;
}

/** Bytes that all folders may take together, and those that the disk has left for what is not reserved yet. */
export interface Room {
  /** The quota, or where there is none the whole disk: what is larger never fits. */
  readonly capacity: number;
  readonly diskFree: number;
}

export type Decision =
  /** After the folders of `evicted` are removed there is room. */
  | { readonly granted: true; readonly evicted: readonly string[] }
  /** `free`: what it could have had besides. `inLine`: others have the room, or are to have it first. */
  | { readonly granted: false; readonly free: number; readonly inLine: boolean };

/**
 * A job that is put back is tried again every 5 minutes at least where a process has time for it. What was not heard of for
 * longer keeps no room from others.
 */
export const FORGOTTEN_MS = 15 * 60_000;

/** Whether one of the holdings may have `bytes` in all. */
export function decide(
  holdings: readonly Holding[],
  own: Holding,
  bytes: number,
  { capacity, diskFree }: Room,
  now: number,
): Decision {
  const others = holdings.filter(({ name }) => name !== own.name);
  const more = bytes - own.bytes;
  if (more <= 0) return { granted: true, evicted: [] };
  const heldByOthers = others.reduce((sum, other) => sum + other.bytes, 0);
  const kept = keptFromOthers(others, own, now);
  const free = Math.min(capacity - own.bytes - heldByOthers, diskFree) - kept;
  const evicted: string[] = [];
  let missing = more - free;
  for (const { name, bytes: given } of inOrderOfEviction(others, own, now)) {
    if (missing <= 0) break;
    missing -= given;
    evicted.push(name);
  }
  // Nothing is taken from anybody where it would not be enough.
  if (missing > 0) return { granted: false, free: Math.max(0, free), inLine: heldByOthers + kept > 0 };
  return { granted: true, evicted };
}

/** What the oldest job still lacks of the room that it waits for. Previews, which are small and short, need not mind. */
function keptFromOthers(others: readonly Holding[], own: Holding, now: number): number {
  if (own.createdAt === undefined) return 0;
  const [oldest] = others
    .filter((other) => other.state === 'waiting' && other.wants > 0 && !isForgotten(other, now))
    .sort(byAge);
  return oldest && byAge(oldest, own) < 0 ? Math.max(0, oldest.wants - oldest.bytes) : 0;
}

/** Those that must give way to `own`: first what nobody may ever ask for again, last the younger jobs, youngest first. */
function inOrderOfEviction(others: readonly Holding[], own: Holding, now: number): Holding[] {
  const rank = (other: Holding): number | undefined => {
    if (other.bytes === 0 || other.state === 'working') return undefined;
    if (other.state === 'failed') return 0;
    // It waits for something else than room, or is forgotten.
    if (other.state === 'resting' || isForgotten(other, now)) return 1;
    return own.createdAt !== undefined && byAge(own, other) < 0 ? 2 : undefined;
  };
  return others
    .filter((other) => rank(other) !== undefined)
    .sort((a, b) => rank(a)! - rank(b)! || byAge(b, a));
}

function isForgotten({ since }: Holding, now: number): boolean {
  return now - since > FORGOTTEN_MS;
}

/** Oldest first; a total order, so that of two jobs never each waits for the other. */
function byAge(a: Holding, b: Holding): number {
  const [left, right] = [a.createdAt ?? '', b.createdAt ?? ''];
  return left < right ? -1 : left > right ? 1 : a.name < b.name ? -1 : 1;
}
