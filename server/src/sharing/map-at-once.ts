/** Maps a list, a few entries at a time. */
import pLimit from 'p-limit';

/**
 * @param atOnce maximum number of entries in work
 * @throws the first error of `work`; no further entry is begun then
 */
export async function mapAtOnce<T, U>(
  entries: Iterable<T>,
  atOnce: number,
  work: (entry: T) => Promise<U>,
): Promise<U[]> {
  const limit = pLimit(atOnce);
  try {
    return await limit.map(entries, work);
  } finally {
    limit.clearQueue();
  }
}
