/**
 * Jobs of several processes on one real PostgreSQL: requested here, run there, taken over, through restarts of the
 * server.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { type Database, openDatabase } from '../../server/src/jobs/database.ts';
import type { JobService, JobServiceOptions } from '../../server/src/jobs/job-service.ts';
import { type Outcome, OutcomeRecords } from '../../server/src/jobs/outcome-records.ts';
import { type Pruned, pruneRecords } from '../../server/src/jobs/prune.ts';
import { migrate } from '../../server/src/jobs/schema/migrate.ts';
import { MIGRATIONS } from '../../server/src/jobs/schema/migrations.ts';
import { type Call, create, openJobs, RESULT, request, SteeredWork, until } from '../jobs/support.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { startProcess } from '../support/service-process.ts';
import { describeTables, TABLES_OF_0_9 } from '../support/tables.ts';

describe.skipIf(postgresMissing !== undefined)(
  `jobs on PostgreSQL${postgresMissing ? ` (skipped: ${postgresMissing})` : ''}`,
  () => {
    let postgres: RunningPostgres;
    let work: SteeredWork;
    /** Answers requests and runs no jobs, like `serve` beside workers. */
    let front: JobService;
    let worker: JobService;

    const open = (options: Partial<JobServiceOptions>): Promise<JobService> =>
      openJobs({
        database: { directory: '', url: postgres.url },
        heartbeatSeconds: 10,
        pollMs: 50,
        ...options,
      });

    beforeAll(async () => {
      postgres = await startPostgres();
    });
    afterAll(() => postgres?.[Symbol.asyncDispose]());
    beforeEach(async () => {
      work = new SteeredWork();
      front = await open({ concurrency: 0 });
      worker = await open({ run: work.run });
    });
    afterEach(async () => {
      await worker?.close();
      await front?.close();
    });

    it('are requested in one process, run in another and followed from the first', async () => {
      const next = work.next();
      const { job } = await create(front, request());
      const call = await next;
      expect(call.job).toBe(job.id);
      call.progress(0.5);
      await expect.poll(async () => (await front.get(job.id)).progress?.fraction).toBe(0.5);
      call.succeed();
      expect((await until(front, job.id, 'COMPLETED')).result).toEqual(RESULT);
    });

    it('are reported with what needs a look first, and counted', async () => {
      const outcomes = new OutcomeRecords(front.database);
      const wanted = [request(), request(), request()];
      const ends = [
        (call: Call) => call.succeed({ ...RESULT, colourDistance: { before: 9, after: 2 } }),
        (call: Call) => call.fail(new StainError('TOO_LITTLE_TISSUE', 'Glass.')),
        (call: Call) =>
          call.succeed({ ...RESULT, outOfDistribution: { verdict: 'unsure', score: 0.5, reasons: [] } }),
      ];
      const before = await outcomes.throughput();
      for (const [i, one] of wanted.entries()) {
        const next = work.next();
        const { job } = await create(front, one);
        ends[i]!(await next);
        await until(front, job.id, 'COMPLETED', 'FAILED');
      }
      const uids = wanted.map(({ seriesInstanceUid }) => seriesInstanceUid);
      const [since, end] = [new Date(Date.now() - 86_400_000), new Date(Date.now() + 86_400_000)];
      const own = (all: readonly Outcome[]) =>
        all
          .filter(({ seriesInstanceUid }) => uids.includes(seriesInstanceUid))
          .map(({ seriesInstanceUid, reason }) => [seriesInstanceUid, reason]);
      const pressing = [
        [uids[1], 'failed'],
        [uids[2], 'perhaps not H&E'],
      ];
      expect(own(await outcomes.toLookAt(since, 1000))).toEqual(pressing);
      const scope = { since, until: end };
      expect(own(await outcomes.of(scope, 1000))).toEqual([...pressing, [uids[0], '']]);
      expect(await outcomes.of(scope, 1, 1)).toHaveLength(1);
      expect((await outcomes.summary(scope)).meanDistance).toEqual({ before: 9, after: 2 });
      const { hour } = await outcomes.throughput();
      expect(hour).toMatchObject({
        completed: before.hour.completed + 2,
        failed: before.hour.failed + 1,
        megapixels: before.hour.megapixels + 2,
      });
      expect(await front.queue(10)).toEqual([]);
    });

    it('are cancelled from another process', async () => {
      const next = work.next();
      const { job } = await create(front, request());
      const call = await next;
      await front.cancel(job.id);
      await until(front, job.id, 'CANCELED');
      expect(call.signal.aborted).toBe(true);
    });

    it('are one job if two processes request the same at the same time', async () => {
      const next = work.next();
      const wanted = request();
      const both = await Promise.all([create(front, wanted), create(worker, wanted)]);
      expect(new Set(both.map(({ job }) => job.id)).size).toBe(1);
      expect(both.map(({ existing }) => existing).sort()).toEqual([false, true]);
      (await next).succeed();
      await until(front, both[0]!.job.id, 'COMPLETED');
      expect(work.calls).toHaveLength(1);
    });

    it('that are old are deleted without waiting for those who hold them', async () => {
      const ended: Job[] = [];
      for (const user of ['ann', 'ben']) {
        const next = work.next();
        const { job } = await create(front, request(), { requestedBy: user });
        (await next).fail(new StainError('TOO_LITTLE_TISSUE', 'Glass.'));
        ended.push(await until(front, job.id, 'FAILED'));
      }
      const ids = ended.map(({ id }) => `'${id}'`).join();
      await postgres.query(
        `UPDATE stain_normalization.job SET ended_at = ended_at - interval '31 days' WHERE id IN (${ids})`,
      );
      const holder = spawn('psql', ['--no-psqlrc', '--quiet', postgres.url], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      holder.stdin.write(
        `BEGIN; SELECT 'holds' FROM stain_normalization.job WHERE id = '${ended[0]!.id}' FOR UPDATE;\n`,
      );
      await says(holder, 'holds');
      const prune = (): Promise<Pruned> => pruneRecords(front.database, 30, AbortSignal.timeout(10_000));
      expect(await prune()).toEqual({ batches: 0, jobs: 1 });
      expect((await front.get(ended[0]!.id)).state).toBe('FAILED');
      holder.stdin.end('ROLLBACK;\n');
      await once(holder, 'exit');
      expect(await prune()).toEqual({ batches: 0, jobs: 1 });
    });

    it.each(['fast', 'immediate'] as const)('survive a restart of the server (%s)', async (mode) => {
      const next = work.next();
      const { job } = await create(front, request());
      const call = await next;
      await postgres.stop(mode);
      // The job ends while the database is away.
      call.succeed();
      await postgres.start();
      await expect.poll(async () => (await front.get(job.id)).state, { timeout: 20_000 }).toBe('COMPLETED');
      expect(work.calls).toHaveLength(1);
      const after = work.next();
      const later = await create(front, request());
      (await after).succeed();
      await until(front, later.job.id, 'COMPLETED');
    });

    it('of a killed process go to another one, and only its result counts', async () => {
      await worker.close();
      const doomed = spawn(
        process.execPath,
        [join(repository, 'test/interop/endless-worker.ts'), postgres.url],
        {
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const { job } = await create(front, request());
      await says(doomed, job.id);
      doomed.kill('SIGKILL');
      await once(doomed, 'exit');

      const next = work.next();
      worker = await open({ run: work.run });
      const call = await next;
      expect(call.job).toBe(job.id);
      call.succeed();
      await until(front, job.id, 'COMPLETED');
    });
  },
);

it.skipIf(postgresMissing !== undefined)(
  'an empty database gets its tables from processes that start at the same time, and none of them fails',
  async () => {
    await using postgres = await startPostgres();
    // One in five did, when two of three created the schema at the same moment.
    for (let i = 0; i < 20; i++) {
      await postgres.query(`CREATE DATABASE empty_${i}`);
      const url = postgres.url.replace(/postgres$/, `empty_${i}`);
      const open = (): Promise<Database> =>
        openDatabase({ directory: '', url, heartbeatSeconds: 30, onError: () => {} });
      const opened = await Promise.all([open(), open(), open()]);
      await Promise.all(opened.map((database) => database.close()));
    }
  },
);

describe.skipIf(postgresMissing !== undefined)('tables of version 0.9 on PostgreSQL', () => {
  it('are migrated once by processes that start at the same time', async () => {
    await using postgres = await startPostgres();
    await postgres.query(await readFile(TABLES_OF_0_9, 'utf8'));
    const open = (): Promise<Database> =>
      openDatabase({ directory: '', url: postgres.url, heartbeatSeconds: 30, onError: () => {} });
    const started = await Promise.all([open(), open(), open(), open()]);
    // A step that cannot run twice.
    const steps = [...MIGRATIONS, 'ALTER TABLE stain_normalization.job ADD COLUMN twice integer'];
    await Promise.all(started.map((database) => migrate((sql) => database.query(sql), steps)));
    expect(await postgres.query('SELECT count(*) FROM stain_normalization.schema_version')).toBe(
      String(steps.length),
    );
    expect(await postgres.query('SELECT count(*) FROM stain_normalization.job')).toBe('6');
    const fresh = await openDatabase({ directory: 'memory://', heartbeatSeconds: 30, onError: () => {} });
    await migrate((sql) => fresh.query(sql), steps);
    expect(await describeTables(started[0]!)).toEqual(await describeTables(fresh));
    await Promise.all([...started, fresh].map((database) => database.close()));
  });

  it('are taken over by a service, which deletes what is old', async () => {
    await using postgres = await startPostgres();
    await using folder = await mkdtempDisposable(join(tmpdir(), 'taken-over-'));
    await postgres.query(await readFile(TABLES_OF_0_9, 'utf8'));
    await postgres.query(`UPDATE stain_normalization.job SET ended_at = ended_at - interval '400 days'`);
    const states = (): Promise<string> =>
      postgres.query(`SELECT string_agg(DISTINCT state, ', ' ORDER BY state) FROM stain_normalization.job`);
    expect(await states()).toBe('CANCELED, COMPLETED, FAILED, IN PROGRESS, SCHEDULED');
    await using service = await startProcess('serve', {
      STAIN_DATABASE_URL: postgres.url,
      STAIN_JOBS_CONCURRENCY: '0',
      STAIN_ARCHIVE_FOLDER: join(folder.path, 'archive'),
      STAIN_SPOOL_DIRECTORY: join(folder.path, 'spool'),
      STAIN_TEMPLATES_DIRECTORY: join(folder.path, 'templates'),
    });
    await expect.poll(states, { timeout: 30_000 }).toBe('COMPLETED, IN PROGRESS, SCHEDULED');
    const { templates } = (await (await fetch(`${service.url}/api/templates`)).json()) as {
      templates: { id: string }[];
    };
    expect(templates.map(({ id }) => id)).toContain('one');
  });
});

async function says(process: ChildProcess, words: string): Promise<void> {
  for await (const said of process.stdout!) if (String(said).includes(words)) return;
  throw new Error(`The process ended before it said ${words}.`);
}
