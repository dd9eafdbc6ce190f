/** Remembers stains that were fitted: a viewer asks for the same slide again and again, and each fit takes seconds. */
import type { SeriesStain } from './series-stain.ts';

/** A stain is a few numbers, its colour table 0.4 MB; where the frames of a slide lie may take ten. */
const MOST_KEPT = 16;

interface Waiting {
  readonly abort: AbortController;
  readonly result: Promise<SeriesStain>;
  clients: number;
}

/** One fit at a time; two who ask for the same share one; it is given up when nobody waits for it any more. */
export class StainCache {
  readonly #kept = new Map<string, SeriesStain>();
  readonly #waiting = new Map<string, Waiting>();
  #last: Promise<unknown> = Promise.resolve();

  async get(
    key: string,
    fit: (signal: AbortSignal) => Promise<SeriesStain>,
    signal: AbortSignal,
  ): Promise<SeriesStain> {
    const kept = this.#kept.get(key);
    if (kept) return kept;
    const waiting = this.#waiting.get(key) ?? this.#begin(key, fit);
    waiting.clients++;
    let leave = (): void => {};
    const left = new Promise<never>((_, reject) => {
      leave = () => reject(signal.reason);
      signal.addEventListener('abort', leave, { once: true });
    });
    try {
      signal.throwIfAborted();
      return await Promise.race([waiting.result, left]);
    } finally {
      signal.removeEventListener('abort', leave);
      waiting.clients--;
      // One that is done is not given up: what it left under way would be ended with its codec threads.
      if (waiting.clients === 0 && this.#waiting.get(key) === waiting) waiting.abort.abort();
    }
  }

  #begin(key: string, fit: (signal: AbortSignal) => Promise<SeriesStain>): Waiting {
    const abort = new AbortController();
    const result = this.#last
      .catch(() => {})
      .then(() => {
        abort.signal.throwIfAborted();
        return fit(abort.signal);
      })
      .then((stain) => {
        this.#kept.set(key, stain);
        if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
        return stain;
      })
      .finally(() => this.#waiting.delete(key));
    result.catch(() => {});
    this.#last = result;
    const waiting = { abort, result, clients: 0 };
    this.#waiting.set(key, waiting);
    // One that is given up must not be joined by the next who asks.
    abort.signal.addEventListener('abort', () => this.#waiting.delete(key), { once: true });
    return waiting;
  }
}
