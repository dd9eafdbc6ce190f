import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { uidFromUuid } from '../../server/src/dicom/uid.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { create, FINGERPRINT, openJobs, progressAt, RESULT, request, SteeredWork, until } from './support.ts';

const work = new SteeredWork();
const faults: unknown[] = [];
let jobs: JobService;
let templateSha256 = 't';
let isStored = true;
let isRejected = false;

beforeAll(async () => {
  jobs = await openJobs({
    run: work.run,
    fingerprint: async () => ({ ...FINGERPRINT, templateSha256 }),
    isStored: async () => isStored,
    isRejected: async () => isRejected,
    onFault: (error) => faults.push(error),
  });
});
afterAll(() => jobs.close());

/** A running job, controlled by the test. */
async function running() {
  const next = work.next();
  const { job } = await create(jobs, request());
  return { id: job.id, job, call: await next };
}

describe('a job', () => {
  it('makes the first revision of its series, and keeps the result', async () => {
    const { id, job, call } = await running();
    expect(call).toMatchObject({ job: id, request: job.request, identity: { revision: 1 } });
    expect(call.identity.supersedes).toBeUndefined();
    call.succeed();
    const done = await until(jobs, id, 'COMPLETED');
    expect(done).toMatchObject({ result: RESULT, error: null, cancelRequested: false });
    expect(Date.parse(done.endedAt!)).toBeGreaterThanOrEqual(Date.parse(done.startedAt!));
  });

  it('of an earlier version, which kept notes as sentences, tells their codes', async () => {
    const { id, call } = await running();
    call.succeed();
    await until(jobs, id, 'COMPLETED');
    const sentences = ['Hardly anything is pink: no eosin is seen.', 'Something else.'];
    await jobs.database.query(
      `UPDATE stain_normalization.job SET result = jsonb_set(result, '{notes}', $2::jsonb) WHERE id = $1`,
      [id, JSON.stringify(sentences)],
    );
    expect((await jobs.get(id)).result!.notes).toEqual([
      { code: 'NO_EOSIN', message: sentences[0], data: {} },
      { code: 'OTHER', message: sentences[1], data: {} },
    ]);
  });

  it('fails with the code, message, remedy and data of its error', async () => {
    const { id, call } = await running();
    call.fail(new StainError('TOO_LITTLE_TISSUE', 'Too little.', { data: { tissueFraction: 0.001 } }));
    expect((await until(jobs, id, 'FAILED')).error).toEqual({
      code: 'TOO_LITTLE_TISSUE',
      message: 'Too little.',
      remedy: expect.stringContaining('nothing was stored'),
      data: { tissueFraction: 0.001 },
    });
  });

  it('does not show the text of an unexpected error, but reports it', async () => {
    const { id, call } = await running();
    const fault = new Error('https://me:secret@archive');
    call.fail(fault);
    const { error } = await until(jobs, id, 'FAILED');
    expect(error).toMatchObject({ code: 'INTERNAL', message: 'An unexpected error ended the job.' });
    expect(faults).toContain(fault);
  });

  it('is the existing one if the same work is waiting, running or stored', async () => {
    const next = work.next();
    const wanted = request();
    const first = await create(jobs, wanted);
    const both = await Promise.all([create(jobs, wanted), create(jobs, { ...wanted })]);
    for (const again of both) expect(again).toMatchObject({ existing: true, job: { id: first.job.id } });
    const call = await next;
    expect((await create(jobs, wanted)).job.id).toBe(first.job.id);
    call.succeed();
    await until(jobs, first.job.id, 'COMPLETED');
    expect(await create(jobs, wanted)).toMatchObject({ existing: true, job: { id: first.job.id } });
  });

  it('completes the series of one that failed; if the series is gone from the archive, makes the next revision', async () => {
    const wanted = request();
    const begin = async () => {
      const next = work.next();
      const made = await create(jobs, wanted);
      return { ...made, call: await next };
    };
    const failed = await begin();
    failed.call.fail(new StainError('STORE_REJECTED', 'No.'));
    await until(jobs, failed.job.id, 'FAILED');
    const second = await begin();
    expect(second.existing).toBe(false);
    expect(second.job.id).not.toBe(failed.job.id);
    expect(second.call.identity).toEqual(failed.call.identity);
    second.call.succeed();
    await until(jobs, second.job.id, 'COMPLETED');
    isStored = false;
    const third = await begin();
    isStored = true;
    const { seriesUuid } = failed.call.identity;
    expect(third.call.identity).toMatchObject({ revision: 2, supersedes: uidFromUuid(seriesUuid) });
    expect(third.call.identity.seriesUuid).not.toBe(seriesUuid);
    third.call.succeed();
    await until(jobs, third.job.id, 'COMPLETED');
  });

  it('leaves a partial series that was rejected or cannot be completed, and names it in the next revision', async () => {
    const wanted = request();
    const begin = async () => {
      const next = work.next();
      const made = await create(jobs, wanted);
      return { id: made.job.id, call: await next };
    };
    const first = await begin();
    await first.call.store({ instances: 3, of: 5 });
    first.call.fail(new StainError('STORE_REJECTED', 'No.'));
    await until(jobs, first.id, 'FAILED');
    isRejected = true;
    const second = await begin();
    isRejected = false;
    const supersedes = uidFromUuid(first.call.identity.seriesUuid);
    expect(second.call.identity).toMatchObject({ revision: 2, supersedes });
    await second.call.store({ instances: 1, of: 5 });
    await second.call.derivations.giveUp(second.call.identity);
    second.call.fail(new StainError('SERIES_UNREPEATABLE', 'Another device.'));
    await until(jobs, second.id, 'FAILED');
    const third = await begin();
    expect(third.call.identity).toMatchObject({
      revision: 3,
      supersedes: uidFromUuid(second.call.identity.seriesUuid),
    });
    third.call.succeed();
    await until(jobs, third.id, 'COMPLETED');
  });

  it('is a different one if parameters or the content of the template differ', async () => {
    const { id, call } = await running();
    const wanted = request();
    const first = await create(jobs, wanted);
    const otherQuality = await create(jobs, { ...wanted, quality: 80 });
    templateSha256 = 'changed';
    const otherContent = await create(jobs, wanted);
    const ids = [first, otherQuality, otherContent].map(({ job, existing }) =>
      existing ? 'existing' : job.id,
    );
    expect(new Set(ids).size).toBe(3);
    expect(ids).not.toContain('existing');
    for (const waiting of ids) await jobs.cancel(waiting);
    call.succeed();
    await until(jobs, id, 'COMPLETED');
  });

  it('waits while another one is running', async () => {
    const { id, call } = await running();
    const waiting = await create(jobs, request());
    // Time in which a job that does not wait would begin.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await jobs.get(waiting.job.id)).state).toBe('SCHEDULED');
    const next = work.next();
    call.succeed();
    await until(jobs, id, 'COMPLETED');
    expect((await next).job).toBe(waiting.job.id);
    work.calls.at(-1)!.succeed();
    await until(jobs, waiting.job.id, 'COMPLETED');
  });
});

describe('a transient fault', () => {
  it('requeues the job with the reason, and it continues later', async () => {
    const { id, call } = await running();
    const again = work.next();
    call.fail(new StainError('SPOOL_FULL', 'The disk is full.'));
    expect(await until(jobs, id, 'SCHEDULED')).toMatchObject({
      waiting: { code: 'SPOOL_FULL', message: 'The disk is full.' },
      error: null,
    });
    const second = await again;
    expect(second.identity).toEqual(call.identity);
    expect((await jobs.get(id)).waiting).toBeNull();
    second.succeed();
    await until(jobs, id, 'COMPLETED');
  });
});

it('a job that waits for the room of other jobs waits as long as they take', async () => {
  await using impatient = await openImpatient();
  const inLine = new StainError('SPOOL_FULL', 'Others have the room.', { data: { inLine: true } });
  const next = impatient.work.next();
  const { job } = await create(impatient.jobs, request());
  (await next).fail(inLine);
  const again = impatient.work.next();
  expect(await until(impatient.jobs, job.id, 'SCHEDULED')).toMatchObject({ waiting: { code: 'SPOOL_FULL' } });
  // A full disk is waited for no longer than jobs.retryHours.
  (await again).fail(new StainError('SPOOL_FULL', 'The disk is full.'));
  expect((await until(impatient.jobs, job.id, 'FAILED')).error).toMatchObject({ code: 'SPOOL_FULL' });
});

it('a job that waits for room in the spool is retried as soon as another one releases some', async () => {
  const steered = new SteeredWork();
  const both = await openJobs({ run: steered.run, concurrency: 2 });
  await using _open = { [Symbol.asyncDispose]: () => both.close() };
  const full = new StainError('SPOOL_FULL', 'Others have the room.', { data: { inLine: true } });
  let next = steered.next();
  const first = await create(both, request());
  const working = await next;
  next = steered.next();
  const second = await create(both, request());
  // Pauses get longer and longer: 5, 10, 20 seconds.
  for (let tries = 0; tries < 2; tries++) {
    (await next).fail(full);
    next = steered.next();
    await until(both, second.job.id, 'SCHEDULED');
  }
  const begin = performance.now();
  working.succeed();
  await until(both, first.job.id, 'COMPLETED');
  (await next).succeed();
  await until(both, second.job.id, 'COMPLETED');
  expect(performance.now() - begin).toBeLessThan(4000);
});

async function openImpatient() {
  const steered = new SteeredWork();
  const opened = await openJobs({ run: steered.run, retryHours: 0 });
  return { jobs: opened, work: steered, [Symbol.asyncDispose]: () => opened.close() };
}

describe('requesters', () => {
  it('take turns, and single requests come before batches', async () => {
    const { id, call } = await running();
    const order: string[] = [];
    const ask = async (name: string, requestedBy: string, priority: 'interactive' | 'batch') => {
      const { job } = await create(jobs, request({ template: name }), { requestedBy, priority });
      return job.id;
    };
    const ids = [
      await ask('a1', 'a', 'batch'),
      await ask('a2', 'a', 'batch'),
      await ask('a3', 'a', 'batch'),
      await ask('b1', 'b', 'batch'),
      await ask('c1', 'c', 'interactive'),
    ];
    let next = work.next();
    call.succeed();
    await until(jobs, id, 'COMPLETED');
    for (const [i] of ids.entries()) {
      const current = await next;
      order.push(current.request.template);
      if (i < ids.length - 1) next = work.next();
      current.succeed();
    }
    expect(order).toEqual(['c1', 'a1', 'b1', 'a2', 'a3']);
    for (const one of ids) await until(jobs, one, 'COMPLETED');
  });

  it('do not wait for the turn of a batch or a rule that asked for the same before them', async () => {
    const { id, call } = await running();
    const wanted = request({ template: 'wanted' });
    const before = await create(jobs, request({ template: 'batch' }), {
      requestedBy: 'a',
      priority: 'batch',
    });
    const low = await create(jobs, wanted, { requestedBy: 'rule:night', priority: 'low' });
    expect((await create(jobs, wanted, { requestedBy: 'a', priority: 'batch' })).job.priority).toBe('batch');
    const asked = await create(jobs, wanted, { requestedBy: 'c' });
    expect(asked).toMatchObject({ existing: true, job: { id: low.job.id, priority: 'interactive' } });
    const next = work.next();
    call.succeed();
    await until(jobs, id, 'COMPLETED');
    const first = await next;
    expect(first.job).toBe(low.job.id);
    const second = work.next();
    first.succeed();
    (await second).succeed();
    await until(jobs, before.job.id, 'COMPLETED');
  });
});

describe('cancel', () => {
  it('ends a waiting job at once, and it never runs', async () => {
    const { id, call } = await running();
    const { job } = await create(jobs, request());
    expect(await jobs.cancel(job.id)).toMatchObject({
      state: 'CANCELED',
      cancelRequested: true,
      endedAt: expect.any(String),
    });
    call.succeed();
    await until(jobs, id, 'COMPLETED');
    const other = await running();
    other.call.succeed();
    await until(jobs, other.id, 'COMPLETED');
    expect(work.calls.some((one) => one.job === job.id)).toBe(false);
  });

  it('aborts a running job with the reason CANCELLED', async () => {
    const { id, call } = await running();
    expect(await jobs.cancel(id)).toMatchObject({ state: 'IN PROGRESS', cancelRequested: true });
    expect(call.signal.reason).toMatchObject({ code: 'CANCELLED' });
    expect(await until(jobs, id, 'CANCELED')).toMatchObject({ error: null, result: null });
  });

  it('is refused for a job that has ended, and for one that does not exist', async () => {
    const { id, call } = await running();
    call.succeed();
    await until(jobs, id, 'COMPLETED');
    await expect(jobs.cancel(id)).rejects.toMatchObject({ code: 'JOB_FINISHED' });
    await expect(jobs.cancel(crypto.randomUUID())).rejects.toMatchObject({ code: 'JOB_NOT_FOUND' });
  });
});

describe('events', () => {
  it('report the current state, each progress, and the end', async () => {
    const { id, call } = await running();
    const events = jobs.events(id, AbortSignal.timeout(10_000));
    expect((await events.next()).value).toMatchObject({ job: { state: 'IN PROGRESS', progress: null } });
    call.progress(0.25);
    expect((await events.next()).value).toMatchObject({ job: { progress: progressAt(0.25) } });
    call.progress(0.5);
    call.progress(0.75);
    expect((await events.next()).value).toMatchObject({ job: { progress: progressAt(0.75) } });
    call.succeed();
    expect((await events.next()).value).toMatchObject({
      job: { state: 'COMPLETED', progress: progressAt(0.75) },
    });
    expect(await events.next()).toEqual({ done: true, value: undefined });
  });

  it('do not repeat the revision that the reader already has', async () => {
    const { id, call } = await running();
    call.progress(0.1);
    const { revision } = await jobs.get(id);
    const events = jobs.events(id, AbortSignal.timeout(10_000), revision);
    const first = events.next();
    // Time in which the known revision would come, if it came.
    const silence = new Promise((resolve) => setTimeout(resolve, 200, 'nothing yet'));
    expect(await Promise.race([first, silence])).toBe('nothing yet');
    call.progress(0.2);
    expect((await first).value).toMatchObject({ job: { progress: progressAt(0.2) } });
    call.succeed();
    await until(jobs, id, 'COMPLETED');
  });

  it('end when the reader leaves', async () => {
    const { id, call } = await running();
    const leave = new AbortController();
    const events = jobs.events(id, leave.signal);
    await events.next();
    const pending = events.next();
    leave.abort();
    expect((await pending).done).toBe(true);
    call.succeed();
    await until(jobs, id, 'COMPLETED');
  });
});

describe('the list', () => {
  it('is newest first, in pages, by series and state', async () => {
    const { id, call } = await running();
    const series = '9.9.9';
    const ids: string[] = [];
    // More than ten: 9 comes before 10.
    for (let quality = 10; quality < 22; quality++)
      ids.unshift((await create(jobs, request({ seriesInstanceUid: series, quality }))).job.id);
    const all = await jobs.list({ series, limit: 50 });
    expect(all.jobs.map((job) => job.id)).toEqual(ids);
    const first = await jobs.list({ series, limit: 2 });
    expect(first.jobs.map((job) => job.id)).toEqual(ids.slice(0, 2));
    const second = await jobs.list({ series, limit: 2, cursor: first.next! });
    expect(second.jobs.map((job) => job.id)).toEqual(ids.slice(2, 4));
    const last = await jobs.list({ series, limit: 10, cursor: second.next! });
    expect(last).toMatchObject({ jobs: ids.slice(4).map((one) => ({ id: one })), next: null });
    await jobs.cancel(ids[0]!);
    expect((await jobs.list({ series, state: 'CANCELED', limit: 10 })).jobs.map((job) => job.id)).toEqual([
      ids[0],
    ]);
    for (const waiting of ids.slice(1)) await jobs.cancel(waiting);
    call.succeed();
    await until(jobs, id, 'COMPLETED');
  });
});
