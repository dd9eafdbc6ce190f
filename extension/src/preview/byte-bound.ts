/** How `lru-cache` counts the bytes of what it keeps. */
import type { LRUCache } from 'lru-cache';

/**
 * Options for a cache bounded by bytes. A value larger than the bound counts as the whole of it, so it is kept, alone:
 * all windows of a level in one huge frame need that frame. An empty value counts as one byte; `lru-cache` refuses 0.
 */
export function boundedBytes<V extends object>(
  maxBytes: number,
  bytesOf: (value: V) => number,
): LRUCache.OptionsSizeLimit<string, V, unknown> {
  return {
    maxSize: maxBytes,
    sizeCalculation: (value) => Math.min(Math.max(1, bytesOf(value)), maxBytes),
  };
}
