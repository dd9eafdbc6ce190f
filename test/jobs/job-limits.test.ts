import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openDatabase } from '../../server/src/jobs/database.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { create, openJobs, request, SteeredWork, until } from './support.ts';

let jobs: JobService | undefined;
const folders: string[] = [];

async function databaseFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-jobs-'));
  folders.push(folder);
  return join(folder, 'database');
}

afterEach(async () => {
  await jobs?.close();
  jobs = undefined;
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

describe('limits', () => {
  it('ends a job that takes too long with TIMED_OUT, even if the work does not stop', async () => {
    const deaf = () => new Promise<never>(() => {});
    const faults: unknown[] = [];
    jobs = await openJobs({
      run: deaf,
      limits: { jobTimeoutMinutes: 0.3 / 60, maxQueuedJobs: 1, jobsPerUser: 100 },
      onFault: (error) => faults.push(error),
    });
    const { job } = await create(jobs, request());
    expect((await until(jobs, job.id, 'FAILED')).error).toMatchObject({ code: 'TIMED_OUT' });
    expect(faults).toMatchObject([{ message: expect.stringContaining('did not stop') }]);
  });

  it('refuses a job when the queue is full, but not one that is already queued', async () => {
    const work = new SteeredWork();
    jobs = await openJobs({
      run: work.run,
      limits: { jobTimeoutMinutes: 1, maxQueuedJobs: 1, jobsPerUser: 100 },
    });
    const next = work.next();
    await create(jobs, request());
    await next;
    const waiting = request();
    await create(jobs, waiting);
    await expect(create(jobs, request())).rejects.toThrow('1 jobs are already waiting');
    expect((await create(jobs, waiting)).existing).toBe(true);
  });
});

describe('a restart on the same database', () => {
  it('runs an interrupted and a waiting job, in order, with the same identities', async () => {
    const directory = await databaseFolder();
    const before = new SteeredWork();
    const first = before.next();
    jobs = await openJobs({ database: { directory }, run: before.run });
    const interrupted = (await create(jobs, request())).job;
    const waiting = (await create(jobs, request())).job;
    const begun = await first;
    begun.progress(0.5);
    await jobs.close();
    expect(before.calls[0]!.signal.aborted).toBe(true);

    const after = new SteeredWork();
    const again = after.next();
    const then = after.next();
    jobs = await openJobs({ database: { directory }, run: after.run });
    const call = await again;
    expect(call.job).toBe(interrupted.id);
    expect(call.identity).toEqual(begun.identity);
    expect(await jobs.get(interrupted.id)).toMatchObject({ state: 'IN PROGRESS', progress: null });
    call.succeed();
    (await then).succeed();
    expect(await until(jobs, waiting.id, 'COMPLETED')).toMatchObject({ createdAt: waiting.createdAt });
    expect((await jobs.get(interrupted.id)).state).toBe('COMPLETED');
  });

  it('reruns what a crash left unfinished, but gives up a slide that crashed five times without progress', async () => {
    const directory = await databaseFolder();
    const work = new SteeredWork();
    jobs = await openJobs({ database: { directory }, run: work.run });
    const next = work.next();
    const { job } = await create(jobs, request());
    await next;
    await jobs.close();
    await asAfterCrash(directory, job.id, { unexplained: 4 });
    const again = work.next();
    jobs = await openJobs({ database: { directory }, run: work.run });
    const call = await again;
    expect(call.job).toBe(job.id);
    await jobs.close();
    await asAfterCrash(directory, job.id, { unexplained: 5 });
    jobs = await openJobs({ database: { directory }, run: work.run });
    expect((await until(jobs, job.id, 'FAILED')).error).toMatchObject({
      code: 'INTERNAL',
      message: expect.stringContaining('stopped 5 times'),
    });
  });

  it('does not run a job whose cancellation was requested before the crash', async () => {
    const directory = await databaseFolder();
    const work = new SteeredWork();
    jobs = await openJobs({ database: { directory }, run: work.run });
    const next = work.next();
    const { job } = await create(jobs, request());
    await next;
    await jobs.close();
    await asAfterCrash(directory, job.id, { cancelRequested: true });
    jobs = await openJobs({ database: { directory }, run: work.run });
    await until(jobs, job.id, 'CANCELED');
    expect(work.calls).toHaveLength(1);
  });

  it('is refused while another process holds the folder', async () => {
    const directory = await databaseFolder();
    await writeFile(`${directory}.lock`, String(process.ppid));
    await expect(openJobs({ database: { directory } })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
      message: expect.stringContaining(String(process.ppid)),
    });
    await writeFile(`${directory}.lock`, '4194305');
    jobs = await openJobs({ database: { directory } });
    await expect(openJobs({ database: { directory } })).rejects.toMatchObject({
      code: 'CONFIGURATION_INVALID',
    });
  });
});

/** The record as a killed process leaves it: IN PROGRESS, and not marked as interrupted. */
async function asAfterCrash(
  directory: string,
  id: string,
  { cancelRequested = false, unexplained = 1 } = {},
): Promise<void> {
  const database = await openDatabase({ directory, heartbeatSeconds: 10, onError: () => {} });
  await database.query(
    `UPDATE stain_normalization.job SET state = 'IN PROGRESS', unexplained = $3, cancel_requested = $2 WHERE id = $1`,
    [id, cancelRequested, unexplained],
  );
  await database.close();
}
