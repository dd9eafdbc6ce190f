/** Randomness that a seed repeats. */
import { createHash } from 'node:crypto';

/** Pseudo-random numbers in [0, 1), the same for the same seed (mulberry32, T. Ettinger 2017, public domain). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Puts items into a random order, in place (Fisher and Yates). */
export function shuffle(items: Int32Array, random: () => number): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
}

/**
 * A random order that depends on the seed and on each item's key alone, not on the order in which the archive lists the
 * items: items that come later leave the others in their order.
 */
export function inSeededOrder<T>(items: readonly T[], keyOf: (item: T) => string, seed: number): T[] {
  const places = items.map((item) => ({
    item,
    place: createHash('sha256')
      .update(`${seed} ${keyOf(item)}`)
      .digest('hex'),
  }));
  return places.sort((a, b) => (a.place < b.place ? -1 : 1)).map(({ item }) => item);
}
