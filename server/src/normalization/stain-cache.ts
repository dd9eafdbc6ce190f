/** Remembers stains that were fitted: a viewer asks for the same slide again and again, and each fit takes seconds. */
import { untilAborted } from '../abortable.ts';
import type { SeriesStain } from './series-stain.ts';

/** A stain is a few numbers, its colour table 0.4 MB; where the frames of a slide lie may take ten. */
const MOST_KEPT = 16;

interface Waiting {
  readonly abort: AbortController;
  readonly result: Promise<SeriesStain>;
  clients: number;
}

/**
 * Two who ask for the same share one fit; it is given up when nobody waits for it any more. How many fits there are at
 * once is the business of those who ask (turns.ts).
 */
export class StainCache {
  readonly #kept = new Map<string, SeriesStain>();
  readonly #waiting = new Map<string, Waiting>();

  /** A stain that is there already. */
  kept(key: string): SeriesStain | undefined {
    return this.#kept.get(key);
  }

  async get(
    key: string,
    fit: (signal: AbortSignal) => Promise<SeriesStain>,
    signal: AbortSignal,
  ): Promise<SeriesStain> {
    const kept = this.#kept.get(key);
    if (kept) return kept;
    const waiting = this.#waiting.get(key) ?? this.#begin(key, fit);
    waiting.clients++;
    try {
      return await untilAborted(waiting.result, signal);
    } finally {
      waiting.clients--;
      // One that is done is not given up: what it left under way would be ended with its codec threads.
      if (waiting.clients === 0 && this.#waiting.get(key) === waiting) waiting.abort.abort();
    }
  }

  #begin(key: string, fit: (signal: AbortSignal) => Promise<SeriesStain>): Waiting {
    const abort = new AbortController();
    const forget = (): void => {
      if (this.#waiting.get(key) === waiting) this.#waiting.delete(key);
    };
    const result = fit(abort.signal)
      .then((stain) => {
        this.#kept.set(key, stain);
        if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
        return stain;
      })
      .finally(forget);
    result.catch(() => {});
    const waiting: Waiting = { abort, result, clients: 0 };
    this.#waiting.set(key, waiting);
    // One that is given up must not be joined by the next who asks.
    abort.signal.addEventListener('abort', forget, { once: true });
    return waiting;
  }
}
