/** What must hold before jobs can be done, each with a time limit. */
import { access, constants, mkdir } from 'node:fs/promises';
import { StainError } from '../errors.ts';
import { type SpoolOptions, spoolUse } from '../normalization/spool.ts';
import { withinTime as limitTime } from '../within-time.ts';

/** Throws when it does not hold. */
export type Check = () => Promise<void>;

const TIME_LIMIT_MS = 10_000;

/**
 * A spool that our own slides fill is no fault: jobs wait for their turn in it. One that is full of other things is.
 * @throws SPOOL_FULL where there is too little room, or the folder cannot be written
 */
export function spoolCheck(spool: SpoolOptions & { readonly leastFreeBytes: number }): Check {
  return async () => {
    const { directory } = spool;
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await access(directory, constants.W_OK);
    } catch (cause) {
      throw new StainError('SPOOL_FULL', 'The spool folder cannot be written.', { cause });
    }
    const { attainable } = await spoolUse(spool);
    if (attainable < spool.leastFreeBytes)
      throw new StainError('SPOOL_FULL', `The spool has ${Math.round(attainable / 1e6)} MB for slides.`);
  };
}

/** @throws TIMED_OUT where a check does not end */
export function withinTime(check: Check): Promise<void> {
  return limitTime(check, TIME_LIMIT_MS, () => new StainError('TIMED_OUT', 'The check did not end in time.'));
}
