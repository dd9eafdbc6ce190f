/** What must work for jobs to run; each check has a time limit. */
import type { Health } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { withinTime as limitTime } from '../sharing/within-time.ts';
import { makeSpoolFolder, type SpoolOptions, spoolUse } from '../spool/spool.ts';

/** Throws if the check fails. */
export interface Check {
  (): Promise<void>;
  /** If true, the process is ready even if the check fails. */
  readonly isOptional?: true;
}

/** A check whose failure is shown, and no more. */
export function optional(check: () => Promise<void>): Check {
  return Object.assign(check, { isOptional: true } as const);
}

const TIME_LIMIT_MS = 10_000;

/** Many clients may probe, without a login: an answer is reused for this long. */
const ANSWER_HOLDS_MS = 2000;

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

/** Runs all checks, for all who ask within a moment. */
export function sharedChecks(checks: Readonly<Record<string, Check>>): () => Promise<Health['checks']> {
  let last: { readonly until: number; readonly found: Promise<Health['checks']> } | undefined;
  return () => {
    if (!last || performance.now() > last.until)
      last = {
        until: performance.now() + ANSWER_HOLDS_MS,
        found: Promise.all(Object.entries(checks).map(([name, check]) => runCheck(name, check))),
      };
    return last.found;
  };
}

/** Only the code: the message of a check may contain URLs. */
async function runCheck(name: string, check: Check): Promise<Health['checks'][number]> {
  const told = check.isOptional && { isOptional: true };
  try {
    await withinTime(check);
    return { name, ok: true, ...told };
  } catch (error) {
    return { name, ok: false, ...told, code: toStainError(error).code };
  }
}

/** @throws TIMED_OUT if a check takes too long */
function withinTime(check: Check): Promise<void> {
  return limitTime(
    check,
    TIME_LIMIT_MS,
    () => new StainError('TIMED_OUT', 'The check did not finish in time.'),
  );
}
