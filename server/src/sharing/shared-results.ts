/** Results requested by several callers: computed once, and cached as long as there is room. */
import { LRUCache } from 'lru-cache';
import { untilAborted } from '../../../core/src/abortable.ts';

interface Waiting<T> {
  readonly abort: AbortController;
  readonly result: Promise<T>;
  clients: number;
}

/**
 * Callers that want the same result share one computation, which is cancelled when nobody waits for it any more. The
 * callers limit how many computations run at once (turns.ts).
 */
export class SharedResults<T extends object> {
  readonly #kept: LRUCache<string, T>;
  readonly #waiting = new Map<string, Waiting<T>>();

  /** @param room how many results to keep, or the total of what `sizeCalculation` returns */
  constructor(room: LRUCache.Options<string, T, unknown>) {
    this.#kept = new LRUCache(room);
  }

  /** A cached result. */
  kept(key: string): T | undefined {
    return this.#kept.get(key);
  }

  /** @throws whatever the work throws, and the reason of the signal */
  async get(key: string, work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
    const kept = this.#kept.get(key);
    if (kept) return kept;
    const waiting = this.#waiting.get(key) ?? this.#begin(key, work);
    waiting.clients++;
    try {
      return await untilAborted(waiting.result, signal);
    } finally {
      waiting.clients--;
      // Do not cancel work that is done: whatever it left running would be ended together with its codec threads.
      if (waiting.clients === 0 && this.#waiting.get(key) === waiting) waiting.abort.abort();
    }
  }

  /** The cached result for the key is no longer valid. */
  forget(key: string): void {
    this.#kept.delete(key);
  }

  #begin(key: string, work: (signal: AbortSignal) => Promise<T>): Waiting<T> {
    const abort = new AbortController();
    const forget = (): void => {
      if (this.#waiting.get(key) === waiting) this.#waiting.delete(key);
    };
    const result = work(abort.signal)
      .then((made) => {
        this.#kept.set(key, made);
        return made;
      })
      .finally(forget);
    result.catch(() => {});
    const waiting: Waiting<T> = { abort, result, clients: 0 };
    this.#waiting.set(key, waiting);
    // Cancelled work must not be joined by the next caller.
    abort.signal.addEventListener('abort', forget, { once: true });
    return waiting;
  }
}
