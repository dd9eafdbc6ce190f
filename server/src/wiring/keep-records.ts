/** Deletes records that are older than the settings say, at the start of a process and regularly from then on. */
import type { Logger } from 'pino';
import type { AnchorTable } from '../audit/anchor.ts';
import type { Config } from '../config.ts';
import type { Database } from '../jobs/database.ts';
import { pruneRecords } from '../jobs/prune.ts';

const PRUNE_MS = 60 * 60_000;

/** Closing it waits for the statement that is running. */
export function keepRecords(
  { jobs, audit }: Pick<Config, 'jobs' | 'audit'>,
  { database, anchors, log }: { database: Database; anchors: Pick<AnchorTable, 'prune'>; log: Logger },
): AsyncDisposable {
  const end = new AbortController();
  const prune = async (): Promise<void> => {
    try {
      const pruned = await pruneRecords(database, jobs.keepDays, end.signal);
      const old = audit.anchorKeepDays === undefined ? 0 : await anchors.prune(audit.anchorKeepDays);
      if (pruned.batches + pruned.jobs + old > 0)
        log.info({ ...pruned, anchors: old }, 'old records were deleted');
    } catch (err) {
      log.warn({ err }, 'old records could not be deleted');
    }
  };
  let running = prune();
  const timer = setInterval(() => {
    running = running.then(prune);
  }, PRUNE_MS).unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      end.abort();
      await running;
    },
  };
}
