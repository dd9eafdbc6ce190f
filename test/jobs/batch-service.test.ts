/** Batches of several users over an archive that is slow, away or full of our own results. */
import { afterEach, describe, expect, it } from 'vitest';
import type { BatchReport, BatchSeries } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import {
  type BatchLineFacts,
  BatchService,
  type BatchServiceOptions,
} from '../../server/src/jobs/batch-service.ts';
import type { JobService, JobServiceOptions } from '../../server/src/jobs/job-service.ts';
import { migrate } from '../../server/src/jobs/schema/migrate.ts';
import { MIGRATIONS } from '../../server/src/jobs/schema/migrations.ts';
import { severalSlides } from '../../server/src/slide/several-slides.ts';
import { create, FINGERPRINT, openJobs, request, SteeredWork } from './support.ts';

const REQUEST = {
  template: 'one',
  model: 'reference',
  transfer: 'linear',
  encoding: 'jpeg',
  quality: 90,
} as const;
const LIMITS = { jobTimeoutMinutes: 10, maxQueuedJobs: 1000, jobsPerUser: 1000 };

let jobs: JobService;
let batches: BatchService;
let nextUid = 1;

afterEach(async () => {
  await batches.close();
  await jobs.close();
});

/** No job ends unless the test says so. */
async function open(
  fingerprint: (series: string, signal: AbortSignal) => Promise<void>,
  options: Partial<BatchServiceOptions> = {},
  jobOptions: Partial<JobServiceOptions> = {},
): Promise<void> {
  jobs = await openJobs({
    run: new SteeredWork().run,
    limits: LIMITS,
    fingerprint: async ({ seriesInstanceUid }, signal) => {
      await fingerprint(seriesInstanceUid, signal);
      return { ...FINGERPRINT, isResult: seriesInstanceUid.startsWith('9.') };
    },
    ...jobOptions,
  });
  batches = new BatchService({ jobs, retrySeconds: 0.05, pollMs: 20, onFault: () => {}, ...options });
}

/** A batch with this many series of one kind, which is the prefix of their UIDs. */
async function ask(user: string, kind: number, count: number): Promise<string> {
  const series = Array.from({ length: count }, () => ({
    studyInstanceUid: '1.2',
    seriesInstanceUid: `${kind}.${nextUid++}`,
  }));
  return (await batches.create(user, REQUEST, series)).id;
}

async function until(id: string, isSo: (report: BatchReport) => boolean): Promise<BatchReport> {
  const report = () => batches.report(id);
  await expect.poll(async () => isSo(await report()), { timeout: 30_000, interval: 20 }).toBe(true);
  return report();
}
const submitted = ({ series }: BatchReport): BatchSeries[] => series.filter(({ job }) => job !== null);

const AWAY = '5';
const SILENT = '6';
const away = async (series: string): Promise<void> => {
  if (series.startsWith(AWAY))
    throw new StainError('ARCHIVE_ERROR', 'The archive answered 503.', { retry: {} });
};
const silent = (series: string, signal: AbortSignal): Promise<void> =>
  series.startsWith(SILENT)
    ? new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    : Promise.resolve();

it('a batch of an older version, without a transfer, continues with the default one', async () => {
  await open(async () => {});
  const { transfer: _, ...older } = REQUEST;
  const line = { studyInstanceUid: '1.2', seriesInstanceUid: '1.2.3' };
  const { id } = await batches.create('ann', older as typeof REQUEST, [line]);
  const { series } = await until(id, (report) => submitted(report).length === 1);
  expect((await jobs.get(series[0]!.job!)).request.transfer).toBe('linear');
});

describe('a series that the archive cannot return', () => {
  it('attack: an archive that answers 503 for some series; they are set aside, and everything else continues', async () => {
    const told: [string, BatchLineFacts][] = [];
    let isAway = true;
    await open((series) => (isAway ? away(series) : Promise.resolve()), {
      onLine: (what, facts) => told.push([what, facts]),
    });
    const ill = await ask('ann', 5, 3);
    const well = await ask('ann', 1, 2);
    const other = await ask('ben', 1, 2);
    await until(well, (report) => submitted(report).length === 2);
    await until(other, (report) => submitted(report).length === 2);
    const { series } = await until(ill, (report) => report.series.every(({ attempts }) => attempts > 1));
    for (const line of series)
      expect(line).toMatchObject({
        state: 'WAITING',
        job: null,
        code: 'ARCHIVE_ERROR',
        message: 'The archive answered 503.',
        nextTryAt: expect.stringMatching(/^\d{4}-/),
      });
    expect(await batches.statistics()).toEqual({ waiting: 0, setAside: 3 });
    expect(told[0]).toEqual(['set aside', { batch: ill, line: 1, code: 'ARCHIVE_ERROR', attempts: 1 }]);
    isAway = false;
    const healed = await until(ill, (report) => submitted(report).length === 3);
    expect(healed.series[0]).toMatchObject({ code: null, message: null, nextTryAt: null });
  });

  it('is refused with the code of its fault when that has lasted too long', async () => {
    const told: string[] = [];
    await open(away, { retryHours: 0.2 / 3600, onLine: (what) => told.push(what) });
    const report = await until(await ask('ann', 5, 1), ({ counts }) => counts['REFUSED'] === 1);
    expect(report.series[0]).toMatchObject({ code: 'ARCHIVE_ERROR', nextTryAt: null });
    expect(told.at(-1)).toBe('refused');
  });

  it('attack: ten series of one user that the archive never answers for; nobody waits for them', async () => {
    await open(silent, { trySeconds: 0.3, retrySeconds: 60 });
    const slow = await ask('ann', 6, 10);
    // While they are being tried.
    await until(await ask('ben', 1, 5), (report) => submitted(report).length === 5);
    // And afterwards: the series of the same user come before their second attempt.
    await until(await ask('ann', 1, 2), (report) => submitted(report).length === 2);
    const { series } = await until(slow, ({ series }) => series.every(({ attempts }) => attempts === 1));
    expect(series[0]).toMatchObject({ code: 'ARCHIVE_TIMEOUT', state: 'WAITING' });
  });
});

describe('room', () => {
  it('attack: series of two users that hang whenever they are tried again; those of a third one do not wait', async () => {
    const tried = new Map<string, number>();
    let hanging = 0;
    await open(
      async (series, signal) => {
        const before = tried.get(series) ?? 0;
        tried.set(series, before + 1);
        if (!series.startsWith(SILENT)) return;
        if (before === 0) throw new StainError('ARCHIVE_ERROR', 'The archive answered 503.', { retry: {} });
        hanging++;
        await silent(series, signal);
      },
      { trySeconds: 600 },
    );
    await ask('ann', 6, 2);
    await ask('ben', 6, 2);
    await expect.poll(() => hanging, { timeout: 30_000 }).toBe(2);
    await until(await ask('cat', 1, 5), (report) => submitted(report).length === 5);
    expect(hanging).toBe(2);
  });

  it('attack: a user whose jobs are at their limit; the batches of others continue', async () => {
    await open(silent, {}, { limits: { ...LIMITS, jobsPerUser: 6 } });
    const large = await ask('ann', 1, 20);
    const other = await ask('ben', 1, 3);
    await until(other, (report) => submitted(report).length === 3);
    const full = await until(large, (report) => submitted(report).length === 3);
    expect(full.counts['WAITING']).toBe(17);
    // The user's own single requests have room too.
    await create(jobs, request(), { requestedBy: 'ann' });
  });

  it('attack: a batch larger than the queue; a request that somebody waits for is taken', async () => {
    await open(silent, {}, { limits: { ...LIMITS, maxQueuedJobs: 4 } });
    const large = await ask('ann', 1, 20);
    // One running, two waiting.
    await until(large, (report) => submitted(report).length === 3);
    for (let i = 0; i < 4; i++) await create(jobs, request(), { requestedBy: i % 2 ? 'ann' : 'ben' });
    await expect(create(jobs, request(), { requestedBy: 'ben' })).rejects.toThrow(
      '4 jobs are already waiting',
    );
  });

  it('attack: batch after batch of one user; there is a limit, and others are free of it', async () => {
    await open(silent, { batchesPerUser: 2 }, { limits: { ...LIMITS, jobsPerUser: 2 } });
    await ask('ann', 1, 5);
    await ask('ann', 1, 5);
    await expect(ask('ann', 1, 5)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    await ask('ben', 1, 5);
  });
});

describe('turns', () => {
  it('attack: a batch of 200 series; the series of a later one, by whomever, come in between', async () => {
    const order: string[] = [];
    const go = Promise.withResolvers<void>();
    await open(async (series) => {
      order.push(series[0]!);
      await go.promise;
    });
    const large = await ask('ann', 1, 200);
    await expect.poll(() => order.length).toBeGreaterThan(0);
    const [own, other] = [await ask('ann', 2, 5), await ask('ben', 3, 5)];
    go.resolve();
    await until(own, (report) => submitted(report).length === 5);
    await until(other, (report) => submitted(report).length === 5);
    // Every second one is the other user's; of the rest, every second one is from the later batch. Some had already
    // started.
    expect(order.lastIndexOf('3')).toBeLessThan(25);
    expect(order.lastIndexOf('2')).toBeLessThan(40);
    await until(large, (report) => submitted(report).length === 200);
  });
});

it('skips results of this product, without a job', async () => {
  await open(silent);
  const report = await until(await ask('ann', 9, 1), ({ counts }) => counts['SKIPPED'] === 1);
  expect(report.series[0]).toMatchObject({ code: 'ALREADY_NORMALIZED', job: null });
});

it('leaves no job behind if the batch is cancelled while its series is being read', async () => {
  const looked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  await open(async () => {
    looked.resolve();
    await go.promise;
  });
  const id = await ask('ann', 1, 1);
  await looked.promise;
  await batches.cancel(id);
  go.resolve();
  await expect
    .poll(async () => (await jobs.list({ limit: 10 })).jobs.map(({ state }) => state))
    .toEqual(['CANCELED']);
  expect((await batches.report(id)).counts).toEqual({ REFUSED: 1 });
});

it('continues what another process left unfinished', async () => {
  await open(away);
  const id = await ask('ann', 5, 1);
  await until(id, ({ series }) => series[0]!.attempts > 0);
  await batches.close();
  await jobs.database.query(`UPDATE stain_normalization.batch_series SET next_try = now()`);
  batches = new BatchService({ jobs, pollMs: 20, onFault: () => {} });
  await until(id, ({ series }) => series[0]!.attempts > 1);
});

describe('a slide that is still arriving', () => {
  it('gets its job when two checks have found the same instances, and says that it is waiting', async () => {
    let source = 'one level';
    await open(
      async () => {},
      { stableSeconds: 0.2 },
      { fingerprint: async () => ({ ...FINGERPRINT, sourceSha256: source }) },
    );
    const id = await ask('ann', 1, 1);
    const seen = () =>
      jobs.database.query<{ seen: string | null }>('SELECT seen FROM stain_normalization.batch_series');
    await expect.poll(async () => (await seen())[0]?.seen).toBe('one level');
    source = 'two levels';
    const waiting = await until(id, ({ series }) => series[0]!.code !== null);
    expect(waiting.series[0]).toMatchObject({
      state: 'WAITING',
      job: null,
      code: 'SERIES_ARRIVING',
      attempts: 0,
    });
    const [line] = submitted(await until(id, (report) => submitted(report).length === 1));
    expect((await jobs.get(line!.job!)).request).toMatchObject({ sourceSha256: 'two levels' });
  });

  it('is normalised as it is if no waiting time is set', async () => {
    await open(async () => {}, { stableSeconds: 0 });
    await until(await ask('ann', 1, 2), (report) => submitted(report).length === 2);
  });
});

describe('a series of several slides', () => {
  it('is split when two checks have found the same slides, so that none still arriving is lost', async () => {
    const slide = (uid: string) => ({
      container: uid,
      totalColumns: 9,
      totalRows: 9,
      slide: uid,
      sopInstanceUids: [uid],
    });
    let slides = ['7.1', '7.2'];
    await open(
      async () => {},
      { stableSeconds: 0.2 },
      {
        fingerprint: async (wanted) => {
          if (wanted.slide === undefined)
            throw severalSlides(slides.map(slide), new Set(['Container Identifier']));
          return { ...FINGERPRINT, slideUid: wanted.slide };
        },
      },
    );
    const id = await ask('ann', 1, 1);
    const seen = () =>
      jobs.database.query<{ seen: string | null }>('SELECT seen FROM stain_normalization.batch_series');
    await expect.poll(async () => (await seen())[0]?.seen).toMatch(/./);
    slides = ['7.1', '7.2', '7.3'];
    const report = await until(id, (now) => submitted(now).length === 3);
    expect(report.series.map((line) => line.slide)).toEqual(slides);
  });

  const told = (slide: string) => ({
    slide,
    container: slide,
    totalColumns: 10,
    totalRows: 10,
    sopInstanceUids: [slide],
  });
  const refusal = (doubt?: string) =>
    severalSlides([told('7.1'), told('7.2'), told('7.3')], new Set(['Container Identifier']), doubt);

  it('has a line and a job for each slide, in addition to the other lines of the batch', async () => {
    await open(
      async () => {},
      { stableSeconds: 0.1 },
      {
        fingerprint: async ({ slide }) => {
          if (slide === undefined) throw refusal();
          return { ...FINGERPRINT, slideUid: slide };
        },
      },
    );
    const report = await until(await ask('ann', 1, 2), (now) => submitted(now).length === 6);
    const [first, second] = [report.series[0]!.seriesInstanceUid, report.series[3]!.seriesInstanceUid];
    expect(first).not.toBe(second);
    expect(report.series.map(({ seriesInstanceUid, slide }) => [seriesInstanceUid, slide])).toEqual(
      [first, second].flatMap((series) => ['7.1', '7.2', '7.3'].map((slide) => [series, slide])),
    );
    for (const { job, seriesInstanceUid, slide } of report.series)
      expect((await jobs.get(job!)).request).toMatchObject({ seriesInstanceUid, slide });
  });

  it('also has them in a database of a version that knew one slide per series', async () => {
    let isAway = true;
    await open(
      async () => {},
      {},
      {
        fingerprint: async ({ seriesInstanceUid, slide }) => {
          if (isAway) await away(seriesInstanceUid);
          if (slide === undefined) throw refusal();
          return { ...FINGERPRINT, slideUid: slide };
        },
      },
    );
    const id = await ask('ann', 5, 1);
    await until(id, ({ series }) => series[0]!.attempts > 0);
    await batches.close();
    for (const change of [
      'DROP INDEX stain_normalization.batch_series_line',
      'ALTER TABLE stain_normalization.batch_series DROP COLUMN part, DROP COLUMN slide',
      'ALTER TABLE stain_normalization.batch_series ADD PRIMARY KEY (batch, position)',
      'UPDATE stain_normalization.batch_series SET next_try = now()',
      'DROP TABLE stain_normalization.schema_version',
    ])
      await jobs.database.query(change);
    // The later steps are still there.
    await migrate((sql) => jobs.database.query(sql), MIGRATIONS.slice(0, 1));
    isAway = false;
    batches = new BatchService({ jobs, pollMs: 20, onFault: () => {} });
    const report = await until(id, (now) => submitted(now).length === 3);
    expect(report.series.map(({ slide }) => slide)).toEqual(['7.1', '7.2', '7.3']);
  });

  it('is refused if they cannot be told apart', async () => {
    await open(async () => {
      throw refusal('They cannot be told apart.');
    });
    const report = await until(await ask('ann', 1, 1), ({ counts }) => counts['REFUSED'] === 1);
    expect(report.series).toMatchObject([{ code: 'SEVERAL_SLIDES', slide: null }]);
  });
});
