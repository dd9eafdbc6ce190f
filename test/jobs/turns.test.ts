/** Users take turns: what one of them asks for keeps nobody else waiting for longer than that one's share. */
import { afterEach, expect, it } from 'vitest';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { create, openJobs, request, SteeredWork } from './support.ts';

let jobs: JobService | undefined;
afterEach(async () => {
  await jobs?.close();
  jobs = undefined;
});

/** Runs one job after the other, and tells whose each was. `onStart` may ask for more. */
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

it('attack: a user with 500 jobs in the queue; the first job of another one is the next', async () => {
  const work = new SteeredWork();
  const limits = { jobTimeoutMinutes: 10, maxQueuedJobs: 1000, jobsPerUser: 1000 };
  jobs = await openJobs({ run: work.run, limits });
  const first = work.next();
  for (let i = 0; i < 500; i++) await create(jobs, of('ann'), { requestedBy: 'ann' });
  for (let i = 0; i < 3; i++) await create(jobs, of('ben'), { requestedBy: 'ben' });
  // The one that runs already, then by turns.
  const served = await serve(work, first, 8);
  expect(served.slice(0, 2)).toEqual(['ann', 'ben']);
  expect(served.slice(0, 7).filter((user) => user === 'ben')).toHaveLength(3);
});

it('attack: a user who asks for one job after the other; the last of ten jobs of another one comes all the same', async () => {
  const work = new SteeredWork();
  jobs = await openJobs({ run: work.run });
  const first = work.next();
  await create(jobs, of('ann'), { requestedBy: 'ann' });
  await first;
  for (let i = 0; i < 10; i++) await create(jobs, of('ben'), { requestedBy: 'ben' });
  await create(jobs, of('ann'), { requestedBy: 'ann' });
  const served = await serve(work, first, 22, async (user) => {
    if (user === 'ann') await create(jobs!, of('ann'), { requestedBy: 'ann' });
  });
  expect(served.filter((user) => user === 'ben')).toHaveLength(10);
});

it('attack: 50 jobs of batch priority; a request of the same user that somebody waits for comes first', async () => {
  const work = new SteeredWork();
  jobs = await openJobs({ run: work.run });
  const first = work.next();
  for (let i = 0; i < 50; i++) await create(jobs, of('ann'), { priority: 'batch' });
  await create(jobs, of('ben'));
  expect(await serve(work, first, 2)).toEqual(['ann', 'ben']);
});
