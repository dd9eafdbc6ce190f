/** Many slides at once, through the app and a real queue. */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { Batch, BatchReport } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { loadConfig } from '../../server/src/config.ts';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { FINGERPRINT, openJobs, SteeredWork } from '../jobs/support.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const work = new SteeredWork();
let jobs: JobService;
let batches: BatchService;
let app: TestApp;
let found: DicomJson[] = [];
let asked: unknown;
let wasSlow = false;

beforeAll(async () => {
  jobs = await openJobs({
    run: work.run,
    limits: { jobTimeoutMinutes: 10, maxQueuedJobs: 6, jobsPerUser: 100 },
    fingerprint: async ({ seriesInstanceUid }) => {
      if (seriesInstanceUid.endsWith('.504') && !wasSlow) {
        wasSlow = true;
        throw new StainError('ARCHIVE_TIMEOUT', 'Slow.');
      }
      if (seriesInstanceUid.endsWith('.404')) throw new StainError('NOT_WHOLE_SLIDE', 'A CT, "axial".');
      return { ...FINGERPRINT, isResult: seriesInstanceUid.endsWith('.99') };
    },
  });
  batches = new BatchService({ jobs, retrySeconds: 0.1, pollMs: 50, onFault: () => {} });
  app = await startApp(jobs, {
    batches,
    config: loadConfig({ env: { STAIN_LIMITS_SERIES_PER_BATCH: '6' } }),
    searchSeries: async (_principal, query) => {
      asked = query;
      return found;
    },
  });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await jobs.close();
});
afterEach(async () => {
  for (const { id } of ((await get('')) as { batches: Batch[] }).batches) await post(`/${id}/cancel`);
});

const series = (...uids: string[]): DicomJson[] =>
  uids.map((uid) => ({
    '0020000D': { vr: 'UI', Value: ['1.2'] },
    '0020000E': { vr: 'UI', Value: [uid] },
  }));
const post = (path: string, body?: object) =>
  fetch(`${app.url}/api/batches${path}`, {
    method: 'POST',
    ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
  });
const get = async (path: string): Promise<unknown> => (await fetch(`${app.url}/api/batches${path}`)).json();
const report = async (id: string) => (await get(`/${id}`)) as BatchReport;

/** Polls the report until it satisfies the condition. */
async function reportWhen(id: string, isWanted: (report: BatchReport) => boolean): Promise<BatchReport> {
  for (let tries = 0; ; tries++) {
    const now = await report(id);
    if (isWanted(now)) return now;
    if (tries > 300) throw new Error(`never: ${JSON.stringify(now, null, 1)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

it('creates a job for each series found, and reports on each', async () => {
  found = series('1.2.1', '1.2.404', '1.2.99', '1.2.2');
  const first = work.next();
  const response = await post('', {
    query: { StudyDate: '20260101-' },
    template: 'one',
    transfer: 'paper',
    quality: 55,
  });
  expect(response.status).toBe(202);
  expect(asked).toEqual({ StudyDate: '20260101-' });
  const { id } = (await response.json()) as Batch;
  expect(response.headers.get('Location')).toBe(`/api/batches/${id}`);
  const call = await first;
  expect(call.request).toMatchObject({
    seriesInstanceUid: '1.2.1',
    quality: 55,
    model: 'fast',
    transfer: 'paper',
  });
  expect(await report(id)).toMatchObject({ template: 'one', model: 'fast', transfer: 'paper' });
  const second = work.next();
  call.succeed();
  (await second).fail(new StainError('TOO_LITTLE_TISSUE', 'Glass.'));
  const done = await reportWhen(id, ({ counts }) => counts['FAILED'] === 1);
  expect(done.counts).toEqual({ COMPLETED: 1, REFUSED: 1, SKIPPED: 1, FAILED: 1 });
  expect(done.series).toMatchObject([
    { seriesInstanceUid: '1.2.1', state: 'COMPLETED', derivedSeriesInstanceUid: '2.25.1', seconds: 1 },
    { seriesInstanceUid: '1.2.404', state: 'REFUSED', code: 'NOT_WHOLE_SLIDE', job: null },
    { seriesInstanceUid: '1.2.99', state: 'SKIPPED', code: 'ALREADY_NORMALIZED' },
    { seriesInstanceUid: '1.2.2', state: 'FAILED', code: 'TOO_LITTLE_TISSUE' },
  ]);
  expect(await jobs.get(done.series[0]!.job!)).toMatchObject({ batch: id, priority: 'batch' });
  const csv = await (await fetch(`${app.url}/api/batches/${id}/report.csv`)).text();
  expect(csv.split('\r\n')[2]).toBe('1.2,1.2.404,REFUSED,,NOT_WHOLE_SLIDE,"A CT, ""axial"".",,,0,,');
});

it('passes anyStain on to each series', async () => {
  found = series('1.9.1', '1.9.2');
  const first = work.next();
  const { id } = (await (await post('', { query: {}, template: 'one', anyStain: true })).json()) as Batch;
  const call = await first;
  const second = work.next();
  call.fail(new StainError('STAIN_NOT_HE', 'Brown.'));
  const other = await second;
  expect([call, other].map(({ request }) => request.anyStain)).toEqual([true, true]);
  other.succeed();
  const done = await reportWhen(id, ({ counts }) => counts['COMPLETED'] === 1);
  expect(done.series).toMatchObject([{ state: 'FAILED', code: 'STAIN_NOT_HE', message: 'Brown.' }, {}]);
});

it('skips results of this product, so that nobody normalises a result again', async () => {
  const response = await fetch(`${app.url}/api/normalizations`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ studyInstanceUid: '1.2', seriesInstanceUid: '1.2.99', template: 'one' }),
  });
  expect(response.status).toBe(409);
  expect(await response.json()).toMatchObject({ code: 'ALREADY_NORMALIZED' });
});

it('waits if the queue is full, and continues when there is room', async () => {
  found = series('1.3.1', '1.3.2', '1.3.3', '1.3.4', '1.3.5', '1.3.6');
  const first = work.next();
  const { id } = (await (await post('', { query: {}, template: 'one' })).json()) as Batch;
  let call = await first;
  await reportWhen(id, ({ counts }) => (counts['WAITING'] ?? 0) > 0 && counts['SCHEDULED'] === 3);
  for (let i = 0; i < 6; i++) {
    const next = i < 5 ? work.next() : undefined;
    call.succeed();
    if (next) call = await next;
  }
  expect((await reportWhen(id, ({ counts }) => counts['COMPLETED'] === 6)).counts).toEqual({ COMPLETED: 6 });
});

it('requests a slide again if the archive was slow once', async () => {
  found = series('1.5.504');
  const first = work.next();
  const { id } = (await (await post('', { query: {}, template: 'one' })).json()) as Batch;
  (await first).succeed();
  expect((await reportWhen(id, ({ counts }) => counts['COMPLETED'] === 1)).counts).toEqual({ COMPLETED: 1 });
  expect(wasSlow).toBe(true);
});

it('is cancelled as a whole: running jobs, waiting jobs and series without a job', async () => {
  found = series('1.4.1', '1.4.2', '1.4.3', '1.4.4', '1.4.5', '1.4.6');
  const first = work.next();
  const { id } = (await (await post('', { query: {}, template: 'one' })).json()) as Batch;
  await first;
  await reportWhen(id, ({ counts }) => counts['SCHEDULED'] === 3);
  expect((await post(`/${id}/cancel`)).status).toBe(202);
  const ended = await reportWhen(id, ({ counts }) => !counts['IN PROGRESS'] && !counts['SCHEDULED']);
  expect(ended.isCancelled).toBe(true);
  expect(ended.counts['CANCELED']).toBe(4);
  expect(ended.counts['REFUSED']).toBe(2);
});

it.each([
  ['no series', [], {}, 404, 'SERIES_NOT_FOUND'],
  ['too many', series('1.1', '1.2', '1.3', '1.4', '1.5', '1.6', '1.7'), {}, 413, 'BATCH_TOO_LARGE'],
  [
    'a filter by an attribute that cannot be searched',
    series('1.1'),
    { PatientName: 'X' },
    400,
    'REQUEST_INVALID',
  ],
])('is refused with %s', async (_what, series, query, status, code) => {
  found = series;
  const response = await post('', { query, template: 'one' });
  expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([status, code]);
});

it('that does not exist is not found', async () => {
  const id = crypto.randomUUID();
  expect((await get(`/${id}`)) as object).toMatchObject({ code: 'BATCH_NOT_FOUND' });
  expect((await post(`/${id}/cancel`)).status).toBe(404);
});
