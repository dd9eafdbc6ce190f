/** Cleans the spool of whatever nobody needs any more, at the start of a process and regularly from then on. */
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { JobService } from '../jobs/job-service.ts';
import { sweepSpools } from '../spool/spool.ts';

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
