/**
 * Items of a sequence (PS3.5 section 7.5): a few are data sets in memory; those of a long sequence are created on
 * access.
 */
import { concatenated, LazyList } from '../../../core/src/lazy-list.ts';
import type { DataSet, Items } from './dataset.ts';

/** A sequence with more items than this is kept in its stored form. Only per-frame functional groups have that many. */
export const MAX_IN_MEMORY = 100;

export function mapItems(items: Items, change: (item: DataSet) => DataSet): Items {
  return items instanceof LazyList ? items.map(change) : items.map((item) => change(item));
}

/** The items of several sequences, one after the other. */
export function joinItems(parts: readonly Items[]): Items {
  if (parts.length === 1) return parts[0]!;
  const all = concatenated(parts);
  return all.length <= MAX_IN_MEMORY ? [...all] : all;
}
