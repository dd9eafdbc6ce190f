/** Attacks with event streams: many by one client, many for one job, clients that do not read. */
import { afterEach, describe, expect, it, test, vi } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { LOCAL } from '../../server/src/auth/principal.ts';
import { loadConfig } from '../../server/src/config.ts';
import type { AppOptions } from '../../server/src/http/app.ts';
import type { ListenOptions } from '../../server/src/http/listen.ts';
import { JobRecords } from '../../server/src/jobs/job-records.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { create, openJobs, request, SteeredWork } from '../jobs/support.ts';
import { connectRaw, type RawConnection, sendRaw } from '../support/raw-connection.ts';
import { NO_BATCHES, NO_JOBS, startApp, testMetrics } from '../support/test-app.ts';

const ATTACKER = '127.0.0.2';
const HOST = 'Host: 127.0.0.1';

let open: AsyncDisposableStack;
afterEach(async () => {
  await open.disposeAsync();
  vi.restoreAllMocks();
});

/** A running job, and the service that reports on it. */
async function start(
  environment: Record<string, string> = {},
  app: Partial<AppOptions> = {},
  listening: Partial<ListenOptions> = {},
) {
  open = new AsyncDisposableStack();
  const work = new SteeredWork();
  // No poll interferes: every read is caused by a change.
  const jobs = await openJobs({ run: work.run, pollMs: 1e9 });
  open.defer(() => jobs.close());
  const begins = work.next();
  const { job } = await create(jobs, request());
  const call = await begins;
  const service = open.use(
    await startApp(
      jobs,
      { config: loadConfig({ env: environment }), batches: NO_BATCHES, ...app },
      listening,
    ),
  );
  /** An open stream, or the refusal. */
  const stream = async (from: string, ...headers: string[]): Promise<RawConnection> => {
    const connection = open.use(await connectRaw(service.url, from));
    connection.socket.write(
      [`GET /api/normalizations/${job.id}/events HTTP/1.1`, HOST, ...headers, '', ''].join('\r\n'),
    );
    await connection.until(/\r\n\r\n[\s\S]*\n\n|"code":/);
    return connection;
  };
  const list = async (from: string) =>
    (await sendRaw(service.url, ['GET /api/normalizations HTTP/1.1', HOST, 'Connection: close'], { from }))
      .status;
  return { url: service.url, jobs, job, call, stream, list };
}

/** A few at a time, so that the test itself has no more pending connections than the system accepts. */
async function times<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  while (made.length < count)
    made.push(...(await Promise.all(Array.from({ length: Math.min(100, count - made.length) }, make))));
  return made;
}

const isOpen = ({ received }: RawConnection): boolean => received.startsWith('HTTP/1.1 200');

describe('many event streams of one client', () => {
  test('1,000: as many stay as one client may have, and the API serves it and all others', async () => {
    const { stream, list } = await start({ STAIN_LIMITS_REQUESTS_PER_SECOND: '1000' });
    const streams = await times(1000, () => stream(ATTACKER));
    expect(streams.filter(isOpen)).toHaveLength(32);
    const refused = streams.find((one) => !isOpen(one))!;
    expect(refused.received).toMatch(/^HTTP\/1.1 429 [\s\S]*\r\nRetry-After: \d+\r\n[\s\S]*TOO_MANY_STREAMS/);
    expect(await list(ATTACKER)).toBe(200);
    expect(await list('127.0.0.1')).toBe(200);
    expect(isOpen(await stream('127.0.0.1'))).toBe(true);
  });

  it('are counted per user if there is a login, wherever they come from', async () => {
    const { stream } = await start(
      { STAIN_LIMITS_EVENT_STREAMS_PER_USER: '3' },
      {
        login: {
          isRequired: true,
          identify: async (authorization) => ({ ...LOCAL, id: authorization! }),
        },
      },
    );
    const as = (user: string, from: string) => stream(from, `Authorization: ${user}`);
    for (let i = 2; i < 5; i++) expect(isOpen(await as('alice', `127.0.0.${i}`))).toBe(true);
    expect(isOpen(await as('alice', '127.0.0.9'))).toBe(false);
    expect(isOpen(await as('bob', '127.0.0.2'))).toBe(true);
  });

  it('of many clients are bounded for the process', async () => {
    const { stream } = await start({
      STAIN_LIMITS_EVENT_STREAMS_PER_USER: '3',
      STAIN_LIMITS_EVENT_STREAMS: '4',
    });
    for (let i = 2; i < 6; i++) expect(isOpen(await stream(`127.0.0.${i}`))).toBe(true);
    expect((await stream('127.0.0.6')).received).toContain('4 event streams are open');
  });

  it('that have ended or broken off free their places', async () => {
    const { stream, call } = await start({ STAIN_LIMITS_EVENT_STREAMS_PER_USER: '1' });
    const first = await stream(ATTACKER);
    expect(isOpen(await stream(ATTACKER))).toBe(false);
    first.socket.destroy();
    const second = await vi.waitFor(async () => {
      const next = await stream(ATTACKER);
      expect(isOpen(next)).toBe(true);
      return next;
    });
    call.succeed();
    await second.until(/COMPLETED/);
    const third = await vi.waitFor(async () => {
      const next = await stream(ATTACKER);
      expect(isOpen(next)).toBe(true);
      return next;
    });
    expect(third.received).toContain('COMPLETED');
  });

  it('whose client left while the job was read leave nothing behind', async () => {
    const asked = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const metrics = testMetrics(NO_JOBS);
    // The event of a closed response.
    vi.spyOn(metrics, 'requestEnded').mockImplementation(() => left.resolve());
    const { url, job, stream } = await start(
      { STAIN_LIMITS_EVENT_STREAMS_PER_USER: '1' },
      {
        metrics,
        login: {
          isRequired: true,
          async identify() {
            asked.resolve();
            await left.promise;
            return { ...LOCAL, id: 'alice' };
          },
        },
      },
    );
    const gone = await connectRaw(url, ATTACKER);
    gone.socket.write(`GET /api/normalizations/${job.id}/events HTTP/1.1\r\n${HOST}\r\n\r\n`);
    await asked.promise;
    gone.socket.destroy();
    await left.promise;
    expect(isOpen(await stream(ATTACKER))).toBe(true);
  });
});

describe('many event streams of one job', () => {
  it.each([1, 300])('cost the database one read per change: %d', async (count) => {
    const { jobs, job, call } = await start();
    const end = new AbortController();
    const seen = await Promise.all(
      Array.from({ length: count }, async () => {
        const events = jobs.events(job.id, end.signal);
        await events.next();
        return events;
      }),
    );
    const find = vi.spyOn(JobRecords.prototype, 'find');
    const CHANGES = 5;
    for (let i = 1; i <= CHANGES; i++) {
      const told = seen.map((events) => events.next());
      call.progress(i / 10);
      for (const { value } of await Promise.all(told)) expect(value!.job.progress!.fraction).toBe(i / 10);
    }
    expect(find.mock.calls.length).toBeLessThanOrEqual(2 * CHANGES);
    expect(find.mock.calls.length).toBeGreaterThanOrEqual(CHANGES);
    end.abort();
    await Promise.all(seen.map((events) => events.return()));
  });
});

describe('a client that does not read its stream', () => {
  it('delays only its own events, and is cut off', async () => {
    open = new AsyncDisposableStack();
    const ended = Promise.withResolvers<void>();
    let told = 0;
    const job = {
      id: crypto.randomUUID(),
      state: 'IN PROGRESS',
      requestedBy: LOCAL.id,
      filler: 'x'.repeat(100_000),
    } as unknown as Job;
    const jobs: JobService = Object.assign(Object.create(NO_JOBS), {
      get: async () => job,
      async *events(_id: string, signal: AbortSignal) {
        try {
          while (!signal.aborted) yield { id: String(told++), job };
        } finally {
          ended.resolve();
        }
      },
    });
    const service = open.use(
      await startApp(jobs, { batches: NO_BATCHES, heartbeatMs: 20 }, { times: { idleMs: 500 } }),
    );
    const attacker = open.use(await connectRaw(service.url, ATTACKER));
    attacker.socket.pause();
    attacker.socket.write(`GET /api/normalizations/${job.id}/events HTTP/1.1\r\n${HOST}\r\n\r\n`);
    await ended.promise;
    // What fits into the buffers of two sockets, not everything that could have been sent in that time.
    expect(told * 100_000).toBeLessThan(100e6);
    expect((await sendRaw(service.url, ['GET /health HTTP/1.1', HOST, 'Connection: close'])).status).toBe(
      200,
    );
  });
});
