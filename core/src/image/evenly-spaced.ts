import type { LazyList } from '../lazy-list.ts';

/** At most this many items, evenly spread over all of them. */
export function evenlySpaced<T>(items: readonly T[] | LazyList<T>, count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items.at(Math.floor(((i + 0.5) * items.length) / count))!);
}
