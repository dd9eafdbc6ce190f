/** What must hold before jobs can be done, each with a time limit. */
import { access, constants, mkdir } from 'node:fs/promises';
import { StainError } from '../errors.ts';
import { type SpoolOptions, spoolUse } from '../normalization/spool.ts';
import { withinTime as limitTime } from '../within-time.ts';

/** Throws when it does not hold. */
export type Check = () => Promise<void>;

const TIME_LIMIT_MS = 10_000;

/** @throws SPOOL_FULL where there is too little room, or the folder cannot be written */
export function spoolCheck(spool: SpoolOptions & { readonly leastFreeBytes: number }): Check {
  return async () => {
    const { directory } = spool;
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await access(directory, constants.W_OK);
    } catch (cause) {
      throw new StainError('SPOOL_FULL', 'The spool folder cannot be written.', { cause });
    }
    const { free } = await spoolUse(spool);
    if (free < spool.leastFreeBytes)
      throw new StainError('SPOOL_FULL', `${Math.round(free / 1e6)} MB are left in the spool.`);
  };
}

/** @throws TIMED_OUT where a check does not end */
export function withinTime(check: Check): Promise<void> {
  return limitTime(check, TIME_LIMIT_MS, () => new StainError('TIMED_OUT', 'The check did not end in time.'));
}
