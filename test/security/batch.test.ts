/**
 * Batches over real archives that fail for some slides, and two services that share the work on one real PostgreSQL.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch, BatchReport, Job } from '../../core/src/contract/index.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import { ARCHIVES, type TestArchive } from '../faults/archives.ts';
import { create, FINGERPRINT, openJobs, request, SteeredWork } from '../jobs/support.ts';
import { copySample } from '../support/copy-slide.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { postgresMissing, startPostgres } from '../support/postgres.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';

const REQUEST = {
  template: 'one',
  model: 'reference',
  transfer: 'linear',
  encoding: 'jpeg',
  quality: 90,
} as const;

for (const { name, missing, start } of ARCHIVES)
  describe.skipIf(missing !== undefined)(missing ? `${name} (skipped: ${missing})` : name, () => {
    const resources = new AsyncDisposableStack();
    let archive: TestArchive;
    let proxy: FaultProxy;
    let service: ServiceProcess;

    beforeAll(async () => {
      archive = resources.use(await start());
      proxy = resources.use(await startFaultProxy(archive.url));
      const folder = await mkdtemp(join(tmpdir(), 'security-batch-'));
      resources.defer(() => rm(folder, { recursive: true }));
      service = resources.use(
        await startProcess('serve', {
          STAIN_DICOMWEB_URL: proxy.url,
          STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
          STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
          STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
        }),
      );
    });
    afterAll(() => resources.disposeAsync());

    const api = async <T>(path: string, body?: object): Promise<T> => {
      const init = body && {
        method: 'POST',
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
      };
      const answer = await fetch(service.url + path, init);
      if (!answer.ok) throw new Error(`${answer.status} for ${path}: ${await answer.text()}`);
      return (await answer.json()) as T;
    };
    const ask = (query: object): Promise<Batch> =>
      api('/api/batches', { query, template: 'he-pink-violet', model: 'fast' });
    const until = async (id: string, isSo: (report: BatchReport) => boolean): Promise<BatchReport> => {
      const report = () => api<BatchReport>(`/api/batches/${id}`);
      await expect.poll(async () => isSo(await report()), { timeout: 120_000 }).toBe(true);
      return report();
    };

    it('attack: 503 for one slide of a batch; the others are completed, the fault is shown, and it is completed later', async () => {
      const slides = [];
      for (const slide of ['one', 'two', 'three']) slides.push(await copySample(`${name} ${slide}`, [3]));
      await archive.put(slides.flatMap(({ files }) => files));
      const ill = slides[1]!.seriesInstanceUid;
      const injection = proxy.inject(
        ({ url }) => url!.includes(`/series/${ill}/`),
        ({ response }) => void response.writeHead(503, { 'Retry-After': '0' }).end(),
      );
      const { id } = await ask({});
      const report = await until(
        id,
        ({ counts, series }) => counts['COMPLETED'] === 2 && series.some(({ attempts }) => attempts > 0),
      );
      expect(injection.met).toBeGreaterThan(0);
      expect(report.series.find(({ seriesInstanceUid }) => seriesInstanceUid === ill)).toMatchObject({
        state: 'WAITING',
        code: 'ARCHIVE_ERROR',
        nextTryAt: expect.any(String),
      });
      const csv = await (await fetch(`${service.url}/api/batches/${id}/report.csv`)).text();
      expect(csv).toContain(`${ill},WAITING,,ARCHIVE_ERROR,`);
      const metrics = await (await fetch(`${service.url}/metrics`)).text();
      expect(metrics).toContain('stain_batch_lines{state="set aside"} 1');
      expect(metrics).toMatch(/stain_batch_lines_set_aside_total\{code="ARCHIVE_ERROR"\} [1-9]/);

      // Another batch overtakes it.
      const [other] = [await copySample(`${name} four`, [3])];
      await archive.put(other.files);
      const second = await ask({ SeriesInstanceUID: other.seriesInstanceUid });
      await until(second.id, ({ counts }) => counts['COMPLETED'] === 1);
      proxy.heal();
      await until(id, ({ counts }) => counts['COMPLETED'] === 3);
    });

    it('attack: a user submits many batches at once; few are searched for, and reports wait their turn', async () => {
      const slide = await copySample(`${name} at once`, [3]);
      await archive.put(slide.files);
      // No search ends before all others are refused.
      const allRefused = Promise.withResolvers<void>();
      const search = proxy.inject(
        ({ url }) => /\/series\?/.test(url!),
        async ({ ask: forward, pass }) => {
          await allRefused.promise;
          await pass(await forward());
        },
      );
      const body = JSON.stringify({
        query: { SeriesInstanceUID: slide.seriesInstanceUid },
        template: 'he-pink-violet',
      });
      const init = { method: 'POST', body, headers: { 'Content-Type': 'application/json' } };
      const many = <T>(one: () => Promise<T>): Promise<T[]> =>
        Promise.all(Array.from({ length: 40 }, () => one()));
      let refused = 0;
      const asked = await many(async () => {
        const { status } = await fetch(`${service.url}/api/batches`, init);
        if (status === 429 && ++refused === 40 - 8) allRefused.resolve();
        return status;
      });
      proxy.heal();
      expect(new Set(asked)).toEqual(new Set([202, 429]));
      expect(asked.filter((status) => status === 202)).toHaveLength(8);
      // Slightly more than 8, because running jobs are checked too.
      expect(search.met).toBeLessThan(20);
      // Reports wait too: with so few series they are too short for a certain refusal.
      const read = await many(async () => (await fetch(`${service.url}/api/batches`)).status);
      expect(read).toContain(200);
      expect(read.filter((status) => status !== 200 && status !== 429)).toEqual([]);
    });

    it('attack: a batch over a study with results of ours; they get no job and are not read', async () => {
      const slide = await copySample(`${name} five`, [3]);
      await archive.put(slide.files);
      const { studyInstanceUid, seriesInstanceUid } = slide;
      const first = await ask({ StudyInstanceUID: studyInstanceUid });
      const done = await until(first.id, ({ counts }) => counts['COMPLETED'] === 1);
      const derived = done.series[0]!.derivedSeriesInstanceUid!;
      const metadata = proxy.inject(
        ({ url }) => url!.includes(`${derived}/metadata`),
        async ({ ask: forward, pass }) => pass(await forward()),
      );
      const again = await until(
        (await ask({ StudyInstanceUID: studyInstanceUid })).id,
        ({ counts }) => counts['COMPLETED'] === 1 && counts['SKIPPED'] === 1,
      );
      expect(again.series).toHaveLength(2);
      const result = again.series.find(({ state }) => state === 'SKIPPED')!;
      expect(result).toMatchObject({
        seriesInstanceUid: derived,
        code: 'ALREADY_NORMALIZED',
        job: null,
      });
      expect(metadata.met).toBe(0);
      const { jobs } = await api<{ jobs: Job[] }>(`/api/normalizations?series=${result.seriesInstanceUid}`);
      expect(jobs).toEqual([]);
      expect(again.series.find((line) => line.seriesInstanceUid === seriesInstanceUid)!.state).toBe(
        'COMPLETED',
      );
    });
  });

describe.skipIf(postgresMissing !== undefined)(
  postgresMissing
    ? `two services on one database (skipped: ${postgresMissing})`
    : 'two services on one database',
  () => {
    it('attack: both submit the same batches at once; each series is read once, by one of them', async () => {
      await using postgres = await startPostgres();
      await using resources = new AsyncDisposableStack();
      const looked: string[][] = [[], []];
      const services: BatchService[] = [];
      const fronts = [];
      for (const mine of looked) {
        const jobs = await openJobs({
          database: { directory: '', url: postgres.url },
          concurrency: 0,
          limits: { jobTimeoutMinutes: 10, maxQueuedJobs: 1000, jobsPerUser: 1000 },
          fingerprint: async ({ seriesInstanceUid }) => {
            mine.push(seriesInstanceUid);
            return FINGERPRINT;
          },
        });
        resources.defer(() => jobs.close());
        fronts.push(jobs);
        const batches = new BatchService({ jobs, pollMs: 20, onFault: () => {} });
        resources.defer(() => batches.close());
        services.push(batches);
      }
      const series = (user: string) =>
        Array.from({ length: 100 }, () => request({ studyInstanceUid: user })).map(
          ({ studyInstanceUid, seriesInstanceUid }) => ({ studyInstanceUid, seriesInstanceUid }),
        );
      const made = await Promise.all(
        ['1.1', '1.2'].map((user, i) => services[i]!.create(user, REQUEST, series(user))),
      );
      for (const { id } of made)
        await expect
          .poll(async () => (await services[0]!.get(id)).counts, { timeout: 60_000 })
          .toEqual({ SCHEDULED: 100 });
      const all = looked.flat();
      expect(all).toHaveLength(200);
      expect(new Set(all).size).toBe(200);
      expect(Math.min(...looked.map(({ length }) => length))).toBeGreaterThan(0);
    });

    it('attack: the database restarts during a batch; submission continues by itself', async () => {
      await using postgres = await startPostgres();
      const work = new SteeredWork();
      const jobs = await openJobs({ database: { directory: '', url: postgres.url }, run: work.run });
      let batches: BatchService | undefined;
      try {
        batches = new BatchService({ jobs, pollMs: 50, onFault: () => {} });
        const next = work.next();
        await create(jobs, request(), { requestedBy: 'ann' });
        // The watched series waits for this one: it does not start before the database is away.
        const busy = await next;
        const watched = (await create(jobs, request(), { requestedBy: 'ann' })).job;
        const events = jobs.events(watched.id, AbortSignal.timeout(120_000));
        expect((await events.next()).value!.job.id).toBe(watched.id);
        await postgres.stop('immediate');
        await expect(batches.list(undefined)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
        // Streams that watch a job stay open.
        const event = events.next();
        await postgres.start();
        busy.succeed();
        await expect.poll(() => work.calls.length, { timeout: 60_000 }).toBe(2);
        expect((await event).value!.job.state).toBe('IN PROGRESS');
        const { id } = await batches.create('ann', REQUEST, [
          { studyInstanceUid: '1.2', seriesInstanceUid: '1.2.3.4' },
        ]);
        await expect
          .poll(async () => (await batches!.get(id)).counts, { timeout: 60_000 })
          .toEqual({ SCHEDULED: 1 });
      } finally {
        await batches?.close();
        await jobs.close();
      }
    });
  },
);
