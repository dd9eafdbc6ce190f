/** One attempt at a job, with records that are kept nowhere. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import type { Attempt, JobRecords } from '../../server/src/jobs/job-records.ts';
import { RunningJob, type RunningJobOptions } from '../../server/src/jobs/running-job.ts';

const GRACE_MS = 20_000;
beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ATTEMPT = {
  job: { id: 'job', request: {}, progress: null } as unknown as Job,
  run: 1,
  identity: {},
  unexplained: 1,
} as unknown as Attempt;

function attempt(options: Partial<RunningJobOptions>, waited: Partial<Attempt> = {}) {
  const faults: unknown[] = [];
  const requeued: unknown[] = [];
  const job = new RunningJob(
    { ...ATTEMPT, ...waited },
    {
      records: {
        finish: async () => ATTEMPT.job,
        requeue: async (...given: unknown[]) => void requeued.push(given),
        saveProgress: async () => undefined,
      } as unknown as JobRecords,
      derivations: {} as RunningJobOptions['derivations'],
      run: async () => ({}) as never,
      timeoutMs: 1e9,
      saveEveryMs: 1000,
      abortGraceMs: GRACE_MS,
      retryMs: 3_600_000,
      release: async () => {},
      retain: async () => {},
      onChange() {},
      onFault: (error) => void faults.push(error),
      ...options,
    },
  );
  return { job, faults, requeued };
}

describe('a job that has ended', () => {
  it('is not reported as one that does not stop, when it is told to stop while its files are removed', async () => {
    const { job, faults } = attempt({ release: async () => job.interrupt() });
    expect(await job.finished()).toBe(true);
    await vi.advanceTimersByTimeAsync(2 * GRACE_MS);
    expect(faults).toEqual([]);
  });

  it('nor when its record shows that it is over before its files are removed', async () => {
    // Long enough for the next look at the record, which is final by then.
    const { job, faults } = attempt({
      release: () => new Promise<void>((resolve) => setTimeout(resolve, 5000)),
    });
    const finished = job.finished();
    await vi.advanceTimersByTimeAsync(2 * GRACE_MS);
    expect(await finished).toBe(true);
    expect(faults).toEqual([]);
  });
});

it('an attempt that was overtaken leaves the files to the one that replaced it', async () => {
  const [release, retain] = [vi.fn(), vi.fn()];
  const records = { finish: async () => undefined } as unknown as JobRecords;
  const { job } = attempt({ records, release, retain });
  expect(await job.finished()).toBe(true);
  expect([release.mock.calls, retain.mock.calls]).toEqual([[], []]);
});

it('an outcome is written again while the database is away, but not when the database refuses it', async () => {
  const finish = vi.fn(async (): Promise<Job | undefined> => ATTEMPT.job);
  const records = { finish, saveProgress: async () => undefined } as unknown as JobRecords;
  finish.mockRejectedValueOnce(new StainError('DATABASE_UNAVAILABLE', 'It restarts.'));
  const away = attempt({ records });
  expect(await away.job.finished()).toBe(true);
  expect(finish).toHaveBeenCalledTimes(2);
  expect(away.faults).toMatchObject([{ code: 'DATABASE_UNAVAILABLE' }]);

  finish.mockRejectedValue(new Error('invalid input syntax for type json'));
  const refused = attempt({ records });
  await expect(refused.job.finished()).rejects.toThrow('invalid input syntax');
  expect(refused.faults).toHaveLength(1);
  expect(finish).toHaveBeenCalledTimes(3);
});

it('a job that does not stop is reported, and given up', async () => {
  const { job, faults } = attempt({ run: () => new Promise(() => {}) });
  const finished = job.finished();
  job.interrupt();
  await vi.advanceTimersByTimeAsync(GRACE_MS);
  expect(await finished).toBe(false);
  expect(faults).toMatchObject([{ code: 'INTERNAL', data: { job: 'job' } }]);
});
