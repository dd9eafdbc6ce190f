/** Jobs of several processes on one real PostgreSQL: asked for here, run there, taken over, through restarts of the server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { JobService, JobServiceOptions } from '../../server/src/jobs/job-service.ts';
import { create, openJobs, RESULT, request, SteeredWork, until } from '../jobs/support.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';

describe.skipIf(postgresMissing !== undefined)(
  `jobs on PostgreSQL${postgresMissing ? ` (skipped: ${postgresMissing})` : ''}`,
  () => {
    let postgres: RunningPostgres;
    let work: SteeredWork;
    /** Answers requests and works on none, as `serve` does beside workers. */
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

    it('are asked for in one process, run in another and followed from the first', async () => {
      const next = work.next();
      const { job } = await create(front, request());
      const call = await next;
      expect(call.job).toBe(job.id);
      call.progress(0.5);
      await expect.poll(async () => (await front.get(job.id)).progress?.fraction).toBe(0.5);
      call.succeed();
      expect((await until(front, job.id, 'COMPLETED')).result).toEqual(RESULT);
    });

    it('are cancelled from another process', async () => {
      const next = work.next();
      const { job } = await create(front, request());
      const call = await next;
      await front.cancel(job.id);
      await until(front, job.id, 'CANCELED');
      expect(call.signal.aborted).toBe(true);
    });

    it('are one job when two processes are asked for the same at the same time', async () => {
      const next = work.next();
      const wanted = request();
      const both = await Promise.all([create(front, wanted), create(worker, wanted)]);
      expect(new Set(both.map(({ job }) => job.id)).size).toBe(1);
      expect(both.map(({ existing }) => existing).sort()).toEqual([false, true]);
      (await next).succeed();
      await until(front, both[0]!.job.id, 'COMPLETED');
      expect(work.calls).toHaveLength(1);
    });

    it.each(['fast', 'immediate'] as const)('outlast a restart of the server (%s)', async (mode) => {
      const next = work.next();
      const { job } = await create(front, request());
      const call = await next;
      await postgres.stop(mode);
      // The work ends while there is nobody to tell.
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
      await saysThatItRuns(doomed, job.id);
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

async function saysThatItRuns(worker: ChildProcess, id: string): Promise<void> {
  for await (const said of worker.stdout!) if (String(said).includes(id)) return;
  throw new Error('The worker ended before it took the job.');
}
