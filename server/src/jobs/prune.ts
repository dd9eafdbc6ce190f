/**
 * Deletes old records, a few in a statement. Rows that another process holds are left for the next time, so that nobody
 * waits for a deletion.
 */
import { BATCH, OPEN, SERIES } from './batch-records.ts';
import type { Database } from './database.ts';
import { JOB, UNFINISHED } from './job-records.ts';

const MAX_JOBS = 500;

export interface Pruned {
  readonly batches: number;
  readonly jobs: number;
}

/**
 * Deletes batches of which every job ended at least that many days ago, then failed and cancelled jobs of that age that
 * are in no batch. The series of rules stay: a rule would take them up again. Completed jobs stay: the same request finds its result by them. So do jobs that stored a part of
 * their series, which the next revision has to replace.
 * @param atOnce jobs to delete in one statement. @throws DATABASE_UNAVAILABLE
 */
export async function pruneRecords(
  database: Pick<Database, 'query'>,
  days: number,
  signal: AbortSignal,
  atOnce = MAX_JOBS,
): Promise<Pruned> {
  return {
    batches: await repeat(() => pruneBatch(database, days), 1, signal),
    jobs: await repeat(() => pruneJobs(database, days, atOnce), atOnce, signal),
  };
}

/** Until there are fewer than `atOnce` to delete. @returns how many were deleted */
async function repeat(
  deleteSome: () => Promise<number>,
  atOnce: number,
  signal: AbortSignal,
): Promise<number> {
  let total = 0;
  for (let deleted = atOnce; deleted >= atOnce && !signal.aborted; total += deleted)
    deleted = await deleteSome();
  return total;
}

/** One batch: it may have thousands of series. */
async function pruneBatch(database: Pick<Database, 'query'>, days: number): Promise<number> {
  const deleted = await database.query(
    `WITH old AS (
       SELECT id FROM ${BATCH} b WHERE rule IS NULL AND created_at < now() - $1::float8 * interval '1 day' AND NOT EXISTS (
         SELECT FROM ${SERIES} l LEFT JOIN ${JOB} j ON j.id = l.job
         WHERE l.batch = b.id AND (${OPEN} OR ${UNFINISHED} OR j.ended_at > now() - $1::float8 * interval '1 day'))
       ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED),
     lines AS (DELETE FROM ${SERIES} WHERE batch IN (SELECT id FROM old))
     DELETE FROM ${BATCH} WHERE id IN (SELECT id FROM old) RETURNING id`,
    [days],
  );
  return deleted.length;
}

async function pruneJobs(database: Pick<Database, 'query'>, days: number, atOnce: number): Promise<number> {
  const deleted = await database.query(
    `DELETE FROM ${JOB} WHERE id IN (
       SELECT id FROM ${JOB} j
       WHERE state IN ('FAILED', 'CANCELED') AND ended_at < now() - $1::float8 * interval '1 day' AND stored IS NULL
         AND NOT EXISTS (SELECT FROM ${SERIES} WHERE job = j.id)
       ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED)
     RETURNING id`,
    [days, atOnce],
  );
  return deleted.length;
}
