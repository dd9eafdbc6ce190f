/**
 * Who gets room in the spool, as plain values: no files, no clock. Older jobs come first, so that one job always gets
 * through: it takes the room of younger waiting jobs, and the room that it waits for is kept for it. See
 * docs/operations.md.
 */

/** How much one folder of the spool may take. */
export interface Holding {
  /** Folder name. */
  readonly name: string;
  /** Size of its files; while in use, also what may still be written. */
  readonly bytes: number;
  /**
   * working: somebody writes in it. waiting: its job waits for room, or for a process to continue it. resting: its job
   * waits for something else, such as an archive that is away. failed: its job could resume if it were requested again.
   */
  readonly state: 'working' | 'waiting' | 'resting' | 'failed';
  /** Total bytes that were refused last; 0 if it has what it wants. */
  readonly wants: number;
  /** When its job was requested (ISO 8601): older jobs come first. Undefined if it belongs to no job. */
  readonly createdAt: string | undefined;
  /** When it entered this state, in milliseconds of the clock. */
  readonly since: number;
  /** The attempt that writes in it, or wrote last. */
  readonly owner: string;
}

/** Bytes that all folders may take together, and bytes free on disk for what is not yet reserved. */
export interface Room {
  /** The quota, or without one the whole disk: anything larger never fits. */
  readonly capacity: number;
  readonly diskFree: number;
}

export type Decision =
  /** There is room once the folders of `evicted` are removed. */
  | { readonly granted: true; readonly evicted: readonly string[] }
  /** `free`: what it could have had in addition. `inLine`: others have the room, or are to get it first. */
  | { readonly granted: false; readonly free: number; readonly inLine: boolean };

/**
 * A requeued job is retried at least every 5 minutes if a process has time for it. A job not heard of for longer than
 * this keeps no room from others.
 */
export const FORGOTTEN_MS = 15 * 60_000;

/** Whether one of the holdings may have `bytes` in total. */
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
  // Nothing is evicted if that would not be enough.
  if (missing > 0) return { granted: false, free: Math.max(0, free), inLine: heldByOthers + kept > 0 };
  return { granted: true, evicted };
}

/** What the oldest job still lacks of the room it waits for. Previews, which are small and short, may ignore this. */
function keptFromOthers(others: readonly Holding[], own: Holding, now: number): number {
  if (own.createdAt === undefined) return 0;
  const [oldest] = others
    .filter((other) => other.state === 'waiting' && other.wants > 0 && !isForgotten(other, now))
    .sort(byAge);
  return oldest && byAge(oldest, own) < 0 ? Math.max(0, oldest.wants - oldest.bytes) : 0;
}

/**
 * The folders that must make room for `own`: first those nobody may ever ask for again, last the younger jobs, youngest
 * first.
 */
function inOrderOfEviction(others: readonly Holding[], own: Holding, now: number): Holding[] {
  const rank = (other: Holding): number | undefined => {
    if (other.bytes === 0 || other.state === 'working') return undefined;
    if (other.state === 'failed') return 0;
    // It waits for something other than room, or is forgotten.
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

/** Oldest first; a total order, so that two jobs never wait for each other. */
function byAge(a: Holding, b: Holding): number {
  const [left, right] = [a.createdAt ?? '', b.createdAt ?? ''];
  return left < right ? -1 : left > right ? 1 : a.name < b.name ? -1 : 1;
}
