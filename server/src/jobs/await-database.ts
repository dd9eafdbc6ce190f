/** A process that starts while the database is away waits for it: the order in which machines come up is nobody's. */
import { setTimeout as pause } from 'node:timers/promises';
import { StainError } from '../errors.ts';

/** Pause before the next try: doubled each time, up to the longest. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

/**
 * What `open` gives, as soon as the database answers. `onAway` hears of every try that was in vain.
 * @throws what `open` throws, but for DATABASE_UNAVAILABLE; SHUTTING_DOWN when the signal fires
 */
export async function awaitDatabase<T>(
  open: () => Promise<T>,
  signal: AbortSignal,
  onAway: (error: StainError) => void,
): Promise<T> {
  for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(2 * ms, LONGEST_PAUSE_MS)) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof StainError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
      onAway(error);
    }
    await pause(ms, undefined, { signal }).catch(() => {
      throw new StainError('SHUTTING_DOWN', 'Interrupted while it waited for the database.');
    });
  }
}
