/** Clocks that are set while jobs wait: that of the database, as times of it that lie ahead, and that of the process. */
import { afterEach, expect, it, vi } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { create, openJobs, request, SteeredWork, until } from './support.ts';

const work = new SteeredWork();
let jobs: JobService;
let batches: BatchService | undefined;
afterEach(async () => {
  vi.useRealTimers();
  await batches?.close();
  batches = undefined;
  await jobs.close();
});

const away = new StainError('ARCHIVE_UNREACHABLE', 'The archive is away.', { retry: {} });

/** A job that has met a fault that may pass, and waits for its next attempt. */
async function waiting(): Promise<string> {
  const next = work.next();
  const { job } = await create(jobs, request());
  (await next).fail(away);
  await until(jobs, job.id, 'SCHEDULED');
  return job.id;
}

it('a job that waits is run although the clock was set back by an hour', async () => {
  jobs = await openJobs({ run: work.run, sweepMs: 20 });
  const id = await waiting();
  const again = work.next();
  await jobs.database.query(`UPDATE pgboss.job SET start_after = now() + interval '1 hour' WHERE id = $1`, [
    id,
  ]);
  (await again).succeed();
  await until(jobs, id, 'COMPLETED');
});

it('the age of the oldest job is never negative', async () => {
  jobs = await openJobs({ run: work.run, concurrency: 0 });
  const { job } = await create(jobs, request());
  await jobs.database.query(
    `UPDATE stain_normalization.job SET created_at = now() + interval '1 hour' WHERE id = $1`,
    [job.id],
  );
  expect(await jobs.statistics()).toEqual({ byState: { SCHEDULED: 1 }, oldestWaitingSeconds: 0 });
});

it('how long a job has waited does not depend on the clock of the process that runs it', async () => {
  jobs = await openJobs({ run: work.run, retryHours: 24 });
  const id = await waiting();
  const again = work.next();
  await jobs.database.query('UPDATE pgboss.job SET start_after = now() WHERE id = $1', [id]);
  const call = await again;
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 48 * 3_600_000 });
  call.fail(away);
  expect((await until(jobs, id, 'SCHEDULED', 'FAILED')).state).toBe('SCHEDULED');
});

it('a job that is requested by a process with another clock has the time of the database', async () => {
  jobs = await openJobs({ run: work.run, concurrency: 0 });
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 48 * 3_600_000 });
  await create(jobs, request());
  expect((await jobs.statistics()).oldestWaitingSeconds).toBeLessThan(3600);
});

it('a series of a batch that waits is tried although the clock was set back', async () => {
  let isAway = true;
  let tries = 0;
  jobs = await openJobs({
    run: work.run,
    concurrency: 0,
    fingerprint: async () => {
      tries++;
      if (isAway) throw away;
      return { sourceSha256: 's', templateSha256: 't', modelSha256: 'm', pipelineSha256: '1' };
    },
  });
  batches = new BatchService({ jobs, retrySeconds: 60, pollMs: 20, onFault: () => {} });
  const { template, model, transfer, encoding, quality } = request();
  const { id } = await batches.create('ann', { template, model, transfer, encoding, quality }, [
    { studyInstanceUid: '1.2', seriesInstanceUid: '1.2.3' },
  ]);
  await expect.poll(() => tries, { timeout: 30_000 }).toBe(1);
  await expect
    .poll(async () => (await batches!.report(id)).series[0]!.code, { timeout: 30_000 })
    .toBe(away.code);
  isAway = false;
  await jobs.database.query(
    `UPDATE stain_normalization.batch_series SET next_try = now() + interval '1 hour'`,
  );
  await expect
    .poll(async () => (await batches!.report(id)).series[0]!.job, { timeout: 30_000 })
    .not.toBeNull();
});
