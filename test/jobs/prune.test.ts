/** What is deleted once it is old, and what a later request still needs. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { anchorTable } from '../../server/src/audit/anchor.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { type Pruned, pruneRecords } from '../../server/src/jobs/prune.ts';
import { create, openJobs, request, SteeredWork, until } from './support.ts';

const DAYS = 30;
const RULE = 'a4a959af-f144-423e-83fd-d30852c6ee4a';

let work: SteeredWork;
let jobs: JobService;

beforeEach(async () => {
  work = new SteeredWork();
  jobs = await openJobs({ run: work.run });
});
afterEach(() => jobs.close());

const prune = (atOnce?: number): Promise<Pruned> =>
  pruneRecords(jobs.database, DAYS, new AbortController().signal, atOnce);

/** All that there is happened that many days earlier. */
async function passDays(days: number): Promise<void> {
  for (const change of [
    `job SET ended_at = ended_at - ${days} * interval '1 day', created_at = created_at - ${days} * interval '1 day'`,
    `batch SET created_at = created_at - ${days} * interval '1 day'`,
    `audit_anchor SET recorded_at = recorded_at - ${days} * interval '1 day'`,
  ])
    await jobs.database.query(`UPDATE stain_normalization.${change}`);
}

const failure = new StainError('TOO_LITTLE_TISSUE', 'Glass.');

async function failed(wanted = request()): Promise<Job> {
  const next = work.next();
  const { job } = await create(jobs, wanted);
  (await next).fail(failure);
  return until(jobs, job.id, 'FAILED');
}

async function completed(wanted = request()): Promise<Job> {
  const next = work.next();
  const { job } = await create(jobs, wanted);
  (await next).succeed();
  return until(jobs, job.id, 'COMPLETED');
}

const isThere = async ({ id }: { id: string }): Promise<boolean> =>
  (await jobs.list({ limit: 100 })).jobs.some((job) => job.id === id);

it('failed and cancelled jobs go when they are old', async () => {
  const old = await failed();
  const running = work.next();
  const { job: unfinished } = await create(jobs, request());
  await running;
  const { job: waiting } = await create(jobs, request());
  const cancelled = await jobs.cancel(waiting.id);
  const { job: next } = await create(jobs, request());
  await passDays(DAYS + 1);
  const recent = await jobs.cancel(next.id);
  expect(await prune()).toEqual({ batches: 0, jobs: 2 });
  expect(await Promise.all([old, cancelled, unfinished, recent].map(isThere))).toEqual([
    false,
    false,
    true,
    true,
  ]);
});

it('the series of a rule stay, with their jobs: the rule would take them up again', async () => {
  const old = await failed();
  for (const row of [
    `batch (id, requested_by, request, created_at, rule) VALUES ('${RULE}', 'rule:one', '{}', now(), 'one')`,
    `batch_series (batch, position, study, series, instances, job) VALUES ('${RULE}', 1, '1.2', '1.2.3', 4, '${old.id}')`,
  ])
    await jobs.database.query(`INSERT INTO stain_normalization.${row}`);
  await passDays(DAYS + 1);
  expect(await prune()).toEqual({ batches: 0, jobs: 0 });
  await jobs.database.query('UPDATE stain_normalization.batch SET rule = NULL');
  expect(await prune()).toEqual({ batches: 1, jobs: 1 });
});

it('a completed job stays, and the same request finds it', async () => {
  const wanted = request();
  const done = await completed(wanted);
  await passDays(10 * DAYS);
  expect(await prune()).toEqual({ batches: 0, jobs: 0 });
  expect(await create(jobs, wanted)).toMatchObject({ existing: true, job: { id: done.id } });
});

it('after a failed job that was deleted, the same request makes the same series', async () => {
  const wanted = request();
  await failed(wanted);
  const [first] = work.calls;
  await passDays(DAYS + 1);
  await prune();
  await completed(wanted);
  expect(work.calls[1]!.identity).toEqual(first!.identity);
});

it('a job that stored a part of its series stays, so that the next revision replaces it', async () => {
  const wanted = request();
  const next = work.next();
  const { job } = await create(jobs, wanted);
  const call = await next;
  await call.store({ instances: 1, of: 3 });
  call.fail(failure);
  await until(jobs, job.id, 'FAILED');
  await passDays(DAYS + 1);
  expect(await prune()).toEqual({ batches: 0, jobs: 0 });
  expect(await isThere(job)).toBe(true);
});

it('a batch goes when all of its jobs are old, and then its failed jobs', async () => {
  const batches = new BatchService({ jobs, pollMs: 20, onFault: () => {} });
  const { studyInstanceUid, seriesInstanceUid, ...shared } = request();
  const line = (series: string) => ({
    studyInstanceUid,
    seriesInstanceUid: `${seriesInstanceUid}.${series}`,
  });
  let next = work.next();
  const { id } = await batches.create('ann', shared, [line('1'), line('2')]);
  (await next).fail(failure);
  await expect.poll(async () => (await batches.report(id)).counts).toMatchObject({ FAILED: 1 });
  next = work.next();
  await passDays(DAYS + 1);
  // One job of the batch runs: its report stays as it is.
  expect(await prune()).toEqual({ batches: 0, jobs: 0 });
  expect((await batches.report(id)).series.map(({ state }) => state).sort()).toEqual([
    'FAILED',
    'IN PROGRESS',
  ]);
  work.calls.at(-1)!.fail(failure);
  await expect.poll(async () => (await batches.report(id)).counts).toEqual({ FAILED: 2 });
  expect(await prune()).toEqual({ batches: 0, jobs: 0 });
  await passDays(DAYS + 1);
  expect(await prune()).toEqual({ batches: 1, jobs: 2 });
  await expect(batches.report(id)).rejects.toMatchObject({ code: 'BATCH_NOT_FOUND' });
  await batches.close();
});

it('a few are deleted in a statement, until there are none or the process stops', async () => {
  for (let i = 0; i < 5; i++) await failed();
  await passDays(DAYS + 1);
  const stopping = new AbortController();
  let statements = 0;
  const database = {
    query: async <Row>(sql: string, values?: readonly unknown[]): Promise<Row[]> => {
      statements++;
      const rows = await jobs.database.query<Row>(sql, values);
      if (rows.length > 0) stopping.abort();
      return rows;
    },
  };
  expect(await pruneRecords(database, DAYS, stopping.signal, 2)).toEqual({ batches: 0, jobs: 2 });
  expect(statements).toBe(2);
  expect(await prune(2)).toEqual({ batches: 0, jobs: 3 });
});

it('anchors of the audit trail go when they are old', async () => {
  const anchors = anchorTable(jobs.database);
  const add = (sequence: number): Promise<void> =>
    anchors.add({
      trail: '3f8a0d1e-55d4-4c39-9a0e-6b1f3f0c7d11',
      sequence,
      digest: 'd',
      observer: 'here',
      recorded: new Date().toISOString(),
    });
  await add(1);
  await passDays(DAYS + 1);
  await add(2);
  expect(await anchors.prune(DAYS)).toBe(1);
  expect(await anchors.all()).toMatchObject([{ sequence: 2 }]);
});
