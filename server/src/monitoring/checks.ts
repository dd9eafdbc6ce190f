/** What must work for jobs to run; each check has a time limit. */
import { StainError } from '../../../core/src/errors.ts';
import { withinTime as limitTime } from '../sharing/within-time.ts';
import { makeSpoolFolder, type SpoolOptions, spoolUse } from '../spool/spool.ts';

/** Throws if the check fails. */
export type Check = () => Promise<void>;

const TIME_LIMIT_MS = 10_000;

/**
 * A spool filled by our own slides is fine: jobs wait for their turn. A spool filled by other things is not.
 * @throws SPOOL_FULL if there is too little room, or the folder cannot be written
 */
export function spoolCheck(spool: SpoolOptions & { readonly minFreeBytes: number }): Check {
  return async () => {
    await makeSpoolFolder(spool.directory);
    const { attainable } = await spoolUse(spool);
    if (attainable < spool.minFreeBytes)
      throw new StainError('SPOOL_FULL', `The spool has only ${Math.round(attainable / 1e6)} MB for slides.`);
  };
}

/** @throws TIMED_OUT if a check takes too long */
export function withinTime(check: Check): Promise<void> {
  return limitTime(
    check,
    TIME_LIMIT_MS,
    () => new StainError('TIMED_OUT', 'The check did not finish in time.'),
  );
}
