/** The retention of stored results, over a real database whose rows the test makes older. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ArchiveNames } from '../../core/src/contract/archive.ts';
import type { Job, StoredResult } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { loadConfig } from '../../server/src/config.ts';
import { uidFromUuid, uuidFromUid } from '../../server/src/dicom/uid.ts';
import { RESULT } from '../../server/src/jobs/job-records.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { ResultService, type ResultServiceOptions } from '../../server/src/results/result-service.ts';
import { create, FINGERPRINT, openJobs, request, until } from './support.ts';

let jobs: JobService;
let results: ResultService;
let notices: string[];

function openResults(
  environment: Record<string, string>,
  parts: Partial<ResultServiceOptions> = {},
): ResultService {
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
    archives: ['far'],
    // Nothing is asked of an archive without notes and checks.
    environmentOf: () => ({}) as never,
    archivesOf: () => ({}) as never,
    onNotice: (what) => notices.push(what),
    onFault(error) {
      throw error;
    },
    roundMs: 20,
    ...parts,
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

describe('with many results in an archive that fails for each', () => {
  const failing = { destination: 'far' };
  const last = 'ffffffff-0000-4000-8000-000000000000';
  const lastUid = uidFromUuid(last);

  /** More than a round takes, before one of the default archive. */
  async function fill(): Promise<void> {
    const insert = (uuid: string, wanted: object, days: number, count: number) =>
      jobs.database.query(
        `INSERT INTO ${RESULT} (series_uuid, study, source_study, source, request, requested_by, stored_at, warned_at)
         SELECT ${uuid}, '1.2', '1.2', '1.2.3', $1::jsonb, 'local', now() - $2::float8 * interval '1 day',
           now() - interval '20 days' FROM generate_series(1, $3)`,
        [JSON.stringify(request(wanted)), days, count],
      );
    await insert('gen_random_uuid()', failing, 50, 30);
    await insert(`'${last}'::uuid`, {}, 49, 1);
  }

  const lastResult = async () =>
    (await results.list({ limit: 100 })).results.find(
      ({ seriesInstanceUid }) => seriesInstanceUid === lastUid,
    )!;

  /** Has nothing, or does not answer. */
  const archiveOf = ({ destination }: ArchiveNames, asked: unknown[] = []) =>
    ({
      async searchInstances() {
        asked.push(destination);
        if (destination === undefined) return [];
        throw new StainError('ARCHIVE_UNREACHABLE', 'away', { data: { archive: destination }, retry: {} });
      },
    }) as never;

  it('ends the retention of the others', async () => {
    await fill();
    const asked: unknown[] = [];
    results = openResults(
      { STAIN_RESULTS_KEEP_DAYS: '30', STAIN_RESULTS_REJECTION_NOTES: 'true' },
      {
        environmentOf: (names) => ({ destination: archiveOf(names, asked) }) as never,
        onFault: () => {},
      },
    );
    await expect.poll(async () => (await lastResult()).state).toBe('REJECTED');
    // One that does not answer is not waited for again and again: once in each of two rounds.
    expect(asked.filter((name) => name === failing.destination)).toHaveLength(2);
  });

  it('refuses what may not be stored there, and goes on', async () => {
    await fill();
    results = openResults(
      { STAIN_RESULTS_KEEP_DAYS: '30', STAIN_RESULTS_REJECTION_NOTES: 'true' },
      {
        environmentOf(names) {
          if (names.destination) throw new StainError('ARCHIVE_READ_ONLY', 'no');
          return { destination: archiveOf(names) } as never;
        },
        onFault: () => {},
      },
    );
    await expect.poll(async () => (await lastResult()).state).toBe('REJECTED');
  });

  it('makes the others again', async () => {
    await fill();
    await jobs.database.query(`UPDATE ${RESULT} SET remake = true, rejected_at = now()`);
    results = openResults(
      {},
      {
        jobs: {
          database: jobs.database,
          async create(wanted, ...rest) {
            if (wanted.destination) throw new StainError('SERIES_ARRIVING', 'not yet');
            return jobs.create(wanted, ...rest);
          },
        },
        onFault: () => {},
      },
    );
    await expect.poll(async () => (await lastResult()).replacement).not.toBeNull();
  });
});

it('rejects what a later revision replaces, and goes on where that fails', async () => {
  let sourceSha256 = 'one level';
  await jobs.close();
  jobs = await openJobs({ fingerprint: async () => ({ ...FINGERPRINT, sourceSha256 }) });
  const faults: unknown[] = [];
  results = openResults(
    { STAIN_RESULTS_REJECTION_NOTES: 'true' },
    {
      environmentOf: () => {
        throw new StainError('ARCHIVE_UNREACHABLE', 'away');
      },
      onFault: (error) => faults.push(error),
    },
  );
  const [wanted, other] = [request(), request()];
  await store(wanted);
  await store(other);
  sourceSha256 = 'two levels';
  await store(wanted);
  await expect.poll(() => faults.length).toBe(1);
  expect(await state()).toBe('CURRENT');
  // An hour later.
  await jobs.database.query(`UPDATE ${RESULT} SET retry_at = now()`);
  await results.close();
  results = openResults({});
  await expect.poll(state).toBe('REJECTED');
  expect(await result()).toMatchObject({ reason: 'quality', replacement: null });
  expect(await results.counts()).toEqual({ REJECTED: 1, CURRENT: 2 });
  expect(faults).toHaveLength(1);
});

it('one that was once gone is looked for again: an archive that rebuilds its index shows nothing for a while', async () => {
  results = openResults({});
  await store();
  await results.close();
  await jobs.database.query(`UPDATE ${RESULT} SET finding = 'GONE', checked_at = now() - interval '2 days'`);
  expect(await state()).toBe('GONE');
  const asked: string[] = [];
  const archive = {
    async searchSeries({ SeriesInstanceUID }: { SeriesInstanceUID: string }) {
      asked.push(SeriesInstanceUID);
      return [];
    },
    searchInstances: async () => [],
  };
  results = openResults(
    { STAIN_RESULTS_CHECK_DAYS: '1' },
    { archivesOf: () => ({ source: archive, destination: archive }) as never, onFault: () => {} },
  );
  await expect.poll(() => asked).toContain(first);
});

describe('a result whose archive has left the settings', () => {
  const gone = new StainError('ARCHIVE_NOT_FOUND', 'There is no archive.');
  let faults: unknown[] = [];
  beforeEach(() => {
    faults = [];
  });
  /** As the wiring does it. */
  const parts: Partial<ResultServiceOptions> = {
    archives: [],
    environmentOf({ destination }) {
      if (destination !== undefined) throw gone;
      return {} as never;
    },
    archivesOf({ source, destination }) {
      if ((source ?? destination) !== undefined) throw gone;
      const empty = { searchInstances: async () => [], searchSeries: async () => [] };
      return { source: empty, destination: empty } as never;
    },
    onFault: (error) => faults.push(error),
  };

  it('says so, names the archive, and is asked for no more', async () => {
    results = openResults({});
    await store(request({ destination: 'far' }));
    await results.close();
    results = openResults({ STAIN_RESULTS_CHECK_DAYS: '1', STAIN_RESULTS_KEEP_DAYS: '1' }, parts);
    await older('stored_at', 50);
    await older('warned_at', 20);
    expect(await result()).toMatchObject({ state: 'ARCHIVE GONE', missingArchives: ['far'] });
    expect((await results.list({ limit: 10, state: 'ARCHIVE GONE' })).results).toHaveLength(1);
    expect(await results.counts()).toEqual({ 'ARCHIVE GONE': 1 });
    const { studyInstanceUid } = await result();
    expect(await results.check(studyInstanceUid, AbortSignal.timeout(10_000))).toMatchObject([
      { state: 'ARCHIVE GONE' },
    ]);
    await expect(results.remake(first, AbortSignal.timeout(10_000))).rejects.toBe(gone);
    // Two rounds later.
    await store();
    await store();
    expect(faults).toEqual([]);
    await results.close();
    results = openResults({});
    expect(await result()).toMatchObject({ state: 'EXPIRING', missingArchives: [] });
  });

  it('is rejected at the end of its retention where only the archive of the slide has gone', async () => {
    results = openResults({});
    await store(request({ source: 'far' }));
    await results.close();
    results = openResults({ STAIN_RESULTS_KEEP_DAYS: '30' }, parts);
    expect(await result()).toMatchObject({ state: 'ARCHIVE GONE', missingArchives: ['far'] });
    await older('stored_at', 31);
    await older('warned_at', 15);
    await expect.poll(state).toBe('REJECTED');
    expect(faults).toEqual([]);
  });
});
