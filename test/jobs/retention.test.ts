/** The retention of stored results, over a real database whose rows the test makes older. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Job, StoredResult } from '../../core/src/contract/index.ts';
import { loadConfig } from '../../server/src/config.ts';
import { uuidFromUid } from '../../server/src/dicom/uid.ts';
import { RESULT } from '../../server/src/jobs/job-records.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { ResultService } from '../../server/src/results/result-service.ts';
import { create, openJobs, request, until } from './support.ts';

let jobs: JobService;
let results: ResultService;
let notices: string[];

function openResults(environment: Record<string, string>): ResultService {
  const { results: settings } = loadConfig({
    env: {
      STAIN_RESULTS_REJECTION_NOTES: 'false',
      STAIN_RESULTS_CHECK_DAYS: '0',
      ...environment,
    },
  });
  return new ResultService({
    settings,
    jobs,
    // Nothing is asked of an archive without notes and checks.
    environmentOf: () => ({}) as never,
    onNotice: (what) => notices.push(what),
    onFault(error) {
      throw error;
    },
    roundMs: 20,
  });
}

const list = async (): Promise<StoredResult[]> => (await results.list({ limit: 10 })).results;
/** The first result, from when it is known. */
let first: string;
const result = async () => (await list()).find(({ seriesInstanceUid }) => seriesInstanceUid === first)!;
const state = async () => (await result()).state;
const older = (column: 'stored_at' | 'warned_at', days: number) =>
  jobs.database.query(
    `UPDATE ${RESULT} SET ${column} = now() - $1::float8 * interval '1 day' WHERE series_uuid = $2`,
    [days, uuidFromUid(first)],
  );

/** Stores a result, and waits until a round has taken it in. */
async function store(wanted = request()): Promise<Job> {
  const known = (await list()).map(({ seriesInstanceUid }) => seriesInstanceUid);
  const { job, existing } = await create(jobs, wanted);
  expect(existing).toBe(false);
  await until(jobs, job.id, 'COMPLETED');
  await expect.poll(async () => (await list()).length).toBe(known.length + 1);
  first ||= (await list())[0]!.seriesInstanceUid;
  return job;
}

beforeEach(async () => {
  first = '';
  notices = [];
  jobs = await openJobs();
});
afterEach(async () => {
  await results.close();
  await jobs.close();
});

it('announces the end, waits as long as it says, and rejects', async () => {
  results = openResults({ STAIN_RESULTS_KEEP_DAYS: '30', STAIN_RESULTS_WARN_DAYS: '14' });
  const wanted = request();
  const job = await store(wanted);
  const { storedAt, expiresAt } = await result();
  expect(Date.parse(expiresAt!) - Date.parse(storedAt)).toBe(30 * 24 * 60 * 60 * 1000);
  expect(await state()).toBe('CURRENT');

  await older('stored_at', 17);
  await expect.poll(state).toBe('EXPIRING');
  expect(notices).toEqual(['expiring']);
  expect(await results.counts()).toEqual({ EXPIRING: 1 });
  // Older than the setting, but not announced for long enough.
  await older('stored_at', 31);
  await older('warned_at', 13);
  await store();
  await store();
  expect(await state()).toBe('EXPIRING');

  await older('warned_at', 15);
  await expect.poll(state).toBe('REJECTED');
  expect(await result()).toMatchObject({ reason: 'retention', expiresAt: null, replacement: null });
  expect(notices).toEqual(['expiring', 'rejected']);
  expect(await jobs.get(job.id)).toMatchObject({ rejected: 'retention' });
  // The same request makes the next revision, although the archive still has the series.
  await store(wanted);
});

it('takes the announcement back when results are kept for longer', async () => {
  results = openResults({ STAIN_RESULTS_KEEP_DAYS: '30' });
  await store();
  await older('stored_at', 20);
  await expect.poll(state).toBe('EXPIRING');
  await results.close();
  results = openResults({ STAIN_RESULTS_KEEP_DAYS: '60' });
  await expect.poll(state).toBe('CURRENT');
});

it('keeps results for good unless a setting says how long', async () => {
  results = openResults({});
  await store();
  await older('stored_at', 36_500);
  // Two rounds later.
  await store();
  await store();
  expect(await result()).toMatchObject({ state: 'CURRENT', expiresAt: null });
});
