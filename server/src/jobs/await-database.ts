/** Lets a process that starts before its database wait for it: machines come up in any order. */
import { setTimeout as pause } from 'node:timers/promises';
import { StainError } from '../../../core/src/errors.ts';

/** Delay before the next attempt. Doubles each time, up to the maximum. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 10_000;

/**
 * Returns what `open` returns once the database answers. `onAway` is called after every failed attempt.
 * @throws whatever `open` throws except DATABASE_UNAVAILABLE; SHUTTING_DOWN when the signal fires
 */
export async function awaitDatabase<T>(
  open: () => Promise<T>,
  signal: AbortSignal,
  onAway: (error: StainError) => void,
): Promise<T> {
  for (let ms = FIRST_PAUSE_MS; ; ms = Math.min(2 * ms, MAX_PAUSE_MS)) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof StainError) || error.code !== 'DATABASE_UNAVAILABLE') throw error;
      onAway(error);
    }
    await pause(ms, undefined, { signal }).catch(() => {
      throw new StainError('SHUTTING_DOWN', 'The process was stopped while waiting for the database.');
    });
  }
}
