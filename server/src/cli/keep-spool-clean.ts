/** Looks through the spool at the start of a process and from then on, for what nobody needs any more. */
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { JobService } from '../jobs/job-service.ts';
import { sweepSpools } from '../normalization/spool.ts';

const SWEEP_MS = 10 * 60_000;

export async function keepSpoolClean(
  spool: Config['spool'],
  jobs: JobService,
  log: Logger,
): Promise<Disposable> {
  const sweep = (): Promise<void> =>
    sweepSpools(spool, { keepDays: spool.keepDays, isOver: (seriesUuid) => jobs.isOver(seriesUuid) }).catch(
      (error: unknown) => log.error({ err: error }, 'the spool could not be cleaned'),
    );
  await sweep();
  const timer = setInterval(() => void sweep(), SWEEP_MS).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
