/** Users take turns: the requests of one user delay nobody else by more than that user's share. */
import { afterAll, describe, it } from 'vitest';
import type { JobService, JobServiceOptions } from '../../server/src/jobs/job-service.ts';
import { create, openJobs, request, SteeredWork } from './support.ts';

const opened = new AsyncDisposableStack();
afterAll(() => opened.disposeAsync());

const open = async (options: Partial<JobServiceOptions>): Promise<JobService> =>
  opened.adopt(await openJobs(options), (jobs) => jobs.close());

/** Runs one job after the other, and returns whose each was. `onStart` may add jobs. */
async function serve(
  work: SteeredWork,
  first: ReturnType<SteeredWork['next']>,
  count: number,
  onStart: (user: string) => Promise<void> = async () => {},
): Promise<string[]> {
  const served: string[] = [];
  for (let next = first; served.length < count; ) {
    const call = await next;
    const user = call.request.studyInstanceUid === '1.1' ? 'ann' : 'ben';
    served.push(user);
    await onStart(user);
    if (served.length < count) next = work.next();
    call.succeed();
  }
  return served;
}

const of = (user: 'ann' | 'ben') => request({ studyInstanceUid: user === 'ann' ? '1.1' : '1.2' });

// Each takes a second per job, in which it waits for the next one to start.
describe.concurrent('attack', () => {
  it('a user with 100 jobs in the queue; the first job of another user is the next', async ({ expect }) => {
    const work = new SteeredWork();
    const limits = { jobTimeoutMinutes: 10, maxQueuedJobs: 1000, jobsPerUser: 1000 };
    const jobs = await open({ run: work.run, limits });
    const first = work.next();
    for (let i = 0; i < 100; i++) await create(jobs, of('ann'), { requestedBy: 'ann' });
    for (let i = 0; i < 3; i++) await create(jobs, of('ben'), { requestedBy: 'ben' });
    // After the job that already runs, in turns.
    const served = await serve(work, first, 8);
    expect(served.slice(0, 2)).toEqual(['ann', 'ben']);
    expect(served.slice(0, 7).filter((user) => user === 'ben')).toHaveLength(3);
  });

  it('a user who adds one job after the other; the last of five jobs of another user runs nevertheless', async ({
    expect,
  }) => {
    const work = new SteeredWork();
    const jobs = await open({ run: work.run });
    const first = work.next();
    await create(jobs, of('ann'), { requestedBy: 'ann' });
    await first;
    for (let i = 0; i < 5; i++) await create(jobs, of('ben'), { requestedBy: 'ben' });
    await create(jobs, of('ann'), { requestedBy: 'ann' });
    const served = await serve(work, first, 12, async (user) => {
      if (user === 'ann') await create(jobs, of('ann'), { requestedBy: 'ann' });
    });
    expect(served.filter((user) => user === 'ben')).toHaveLength(5);
  });

  it('50 jobs of batch priority; a single request of the same user comes first', async ({ expect }) => {
    const work = new SteeredWork();
    const jobs = await open({ run: work.run });
    const first = work.next();
    for (let i = 0; i < 50; i++) await create(jobs, of('ann'), { priority: 'batch' });
    await create(jobs, of('ben'));
    expect(await serve(work, first, 2)).toEqual(['ann', 'ben']);
  });
});
