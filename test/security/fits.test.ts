/** Attack: one endless slide, or one greedy user, must not block stains, previews and templates of all others. */
import { once } from 'node:events';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { maxStoredBytes } from '../../core/src/codec/frame-format.ts';
import { StainError, toStainError } from '../../core/src/errors.ts';
import type { Login } from '../../server/src/auth/login.ts';
import { SCOPES } from '../../server/src/auth/principal.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { FrameBatches } from '../../server/src/pipeline/frame-batches.ts';
import { Looks } from '../../server/src/pipeline/looks.ts';
import type { SeriesReference } from '../../server/src/pipeline/series-reference.ts';
import { Turns } from '../../server/src/sharing/turns.ts';
import { TemplateService } from '../../server/src/templates/template-service.ts';
import { stainService } from '../../server/src/wiring/stain-service.ts';
import { FINGERPRINT, openJobs, SteeredWork } from '../jobs/support.ts';
import { type FaultProxy, hang, startFaultProxy } from '../support/fault-proxy.ts';
import { startFaultServer } from '../support/fault-server.ts';
import { createWorkplace, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { runs } from '../support/property-runs.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

/** Believes what a request says about its user: logins are tested elsewhere. */
const login: Login = {
  isRequired: true,
  async identify(authorization) {
    if (!authorization) throw new StainError('UNAUTHENTICATED', 'Nobody.');
    return { id: authorization, scopes: new Set(SCOPES) };
  },
};
/** Requests of one user for hanging slides, running or waiting. */
const MAX_OF_ONE = 16;

let place: Workplace;
let archive: ServedArchive;
let proxy: FaultProxy;
let source: DicomWebClient;
let series: SeriesReference;
let jobs: JobService;
let templates: TemplateService;
let app: TestApp;
beforeAll(async () => {
  place = await createWorkplace();
  archive = await serveArchive({ folder: await place.fill('source', join(repository, 'scripts/sample')) });
  await archive.archive.rescan();
  proxy = await startFaultProxy(archive.url);
  source = createDicomWebClient({ url: proxy.url });
  const found = await chooseSeries({ client: source }, {}, new AbortController().signal);
  series = { studyInstanceUid: found.studyInstanceUid, seriesInstanceUid: found.seriesInstanceUid };
  jobs = await openJobs({ run: new SteeredWork().run, fingerprint: async () => FINGERPRINT });
  const { composition } = place;
  templates = await TemplateService.open({
    database: jobs.database,
    shipped: await composition.templates.shipped(),
    limits: composition.config.limits,
  });
  app = await startApp(jobs, {
    ...stainService(
      composition,
      () => composition.environment({ source, destination: source }),
      new Looks(composition.config.limits),
      templates,
    ),
    templates,
    login,
  });
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await jobs?.close();
  await source?.close();
  await proxy?.[Symbol.asyncDispose]();
  await archive?.[Symbol.asyncDispose]();
  await place?.[Symbol.asyncDispose]();
});

const stain = (
  user: string,
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  signal?: AbortSignal,
): Promise<Response> =>
  fetch(`${app.url}/api/studies/${studyInstanceUid}/series/${seriesInstanceUid}/stain`, {
    headers: { authorization: user },
    ...(signal && { signal }),
  });
const preview = (user: string, slide: SeriesReference): Promise<Response> =>
  fetch(`${app.url}/api/preview`, {
    method: 'POST',
    headers: { authorization: user, 'content-type': 'application/json' },
    body: JSON.stringify({
      ...slide,
      template: TEMPLATE,
      region: { x: 0, y: 0, width: 256, height: 256 },
      size: 256,
    }),
  });
/** Series for which the archive never answers. */
const hanging = (count: number): SeriesReference[] =>
  Array.from({ length: count }, (_, i) => ({ ...series, seriesInstanceUid: `1.2.666.${i}` }));

describe('A user whose slides never end', () => {
  it('is refused beyond a number, blocks nobody else, and frees the slots on leaving', async () => {
    const met = proxy.inject(({ url }) => url!.includes('/1.2.666.'), hang);
    const leaving = new AbortController();
    const refused: Response[] = [];
    let left = 0;
    const asked = hanging(50).map((slide) =>
      stain('mallory', slide, leaving.signal).then(
        (response) => void refused.push(response),
        () => left++,
      ),
    );
    await expect.poll(() => refused.length, { timeout: 20_000 }).toBe(50 - MAX_OF_ONE);
    for (const response of refused) {
      expect(response.status).toBe(429);
      expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await response.json()).toMatchObject({ code: 'QUEUE_FULL' });
    }
    // One user gets half of the slots.
    await expect.poll(() => met.met).toBe(2);
    expect((await stain('alice', series)).status).toBe(200);
    expect((await preview('bob', series)).status).toBe(200);
    expect(met.met).toBe(2);
    leaving.abort();
    await Promise.all(asked);
    expect(left).toBe(MAX_OF_ONE);
    proxy.heal();
    // The user's own slots are free again, too.
    await expect.poll(async () => (await preview('mallory', series)).status).toBe(200);
  });

  it('is no worse in numbers: however many read the slide, others can read another one', async () => {
    const met = proxy.inject(({ url }) => url!.includes('/1.2.666.'), hang);
    const leaving = new AbortController();
    const [slide] = hanging(1);
    const users = ['carol', 'carol', 'dave', 'dave', 'erin', 'erin'];
    const asked = users.map((user) => stain(user, slide!, leaving.signal).catch(() => 'left'));
    await expect.poll(() => met.met).toBe(1);
    expect((await preview('frank', series)).status).toBe(200);
    expect((await preview('dave', series)).status).toBe(200);
    leaving.abort();
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['left']));
    proxy.heal();
  });

  it('shares its fit with other requests for the same slide: the archive is read once', async () => {
    const met = proxy.inject(({ url }) => url!.includes('/1.2.666.'), hang);
    const leaving = new AbortController();
    const [slide] = hanging(1);
    const asked = ['carol', 'dave'].map((user) => stain(user, slide!, leaving.signal).catch(() => 'left'));
    await expect.poll(() => met.met).toBe(1);
    leaving.abort();
    expect(await Promise.all(asked)).toEqual(['left', 'left']);
    expect(met.met).toBe(1);
    proxy.heal();
  });
});

describe('A fit', () => {
  it('ends at its deadline with a code, and releases its slot', async () => {
    await using hasty = await createWorkplace({
      STAIN_LIMITS_FIT_TIMEOUT_SECONDS: '0.2',
      STAIN_LIMITS_FITS_AT_ONCE: '1',
    });
    proxy.inject(({ url }) => url!.includes('/1.2.666.'), hang);
    const { composition } = hasty;
    // Loading the model does not count as fitting.
    await composition.network('fast');
    const environment = composition.environment({ source, destination: source });
    const service = stainService(
      composition,
      () => environment,
      new Looks(composition.config.limits),
      templates,
    );
    const { signal } = new AbortController();
    const [slide] = hanging(1);
    for (let tries = 0; tries < 2; tries++)
      await expect(service.stainOf(slide!, 'fast', 'mallory', signal)).rejects.toMatchObject({
        code: 'FIT_TIMED_OUT',
      });
    const template = {
      ...slide!,
      model: 'fast',
      name: 'x',
      description: '',
      licence: 'private',
      replace: false,
    };
    const editor = { id: 'mallory', isAdministrator: false };
    await expect(service.createTemplate(template, editor, signal)).rejects.toMatchObject({
      code: 'FIT_TIMED_OUT',
    });
    proxy.heal();
  });
});

describe('A frame', () => {
  it('that an archive pads to many times its pixels is not held in memory: 40 MB for 16 x 16', async () => {
    let sent = 0;
    await using server = await startFaultServer(async (_request, response) => {
      response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      for (; sent < 40e6 && !response.destroyed; sent += 1e5)
        if (!response.write(Buffer.alloc(1e5)))
          await Promise.race([once(response, 'drain'), once(response, 'close')]);
      response.end();
    });
    const client = createDicomWebClient({ url: server.url, maxRetries: 0 });
    const batches = new FrameBatches(client, series);
    const maxBytes = maxStoredBytes({ rows: 16, columns: 16 });
    await expect(batches.frame('1.2.3', 1, maxBytes, new AbortController().signal)).rejects.toMatchObject({
      code: 'ARCHIVE_PROTOCOL',
    });
    await client.close();
    expect(sent).toBeLessThan(40e6);
  });
});

describe('Turns', () => {
  const never = new AbortController().signal;
  /** Work that ends when told to. */
  function steered(): { work: () => Promise<void>; end: () => void; begun: () => boolean } {
    const done = Promise.withResolvers<void>();
    let hasBegun = false;
    return {
      work: () => {
        hasBegun = true;
        return done.promise;
      },
      end: () => done.resolve(),
      begun: () => hasBegun,
    };
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it('alternate: one request of a user comes before the many of another', async () => {
    const turns = new Turns({ atOnce: 1, atOnceOfOne: 1, maxOfOne: 100 });
    const order: string[] = [];
    const ask = (user: string): Promise<void> =>
      turns.take(user, never, async () => {
        order.push(user);
        await settled();
      });
    await Promise.all([...Array.from({ length: 10 }, () => ask('many')), ask('one'), ask('two')]);
    expect(order.slice(0, 4).sort()).toEqual(['many', 'many', 'one', 'two']);
    expect(turns).toMatchObject({ running: 0, waiting: 0 });
  });

  it('never exceed the slots of all or of one user, whoever comes, leaves or fails', async () => {
    const step = fc.record({
      user: fc.constantFrom('a', 'b', 'c'),
      what: fc.constantFrom('ask', 'end', 'fail', 'leave'),
      which: fc.nat(20),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const limits = { atOnce: 3, atOnceOfOne: 2, maxOfOne: 5 };
        const turns = new Turns(limits);
        const running = new Map<string, number>();
        const all: { end: () => void; fail: () => void; leave: () => void; done: Promise<unknown> }[] = [];
        for (const { user, what, which } of steps) {
          const one = all[which % Math.max(1, all.length)];
          if (what === 'ask') {
            const done = Promise.withResolvers<void>();
            // It may be told to fail before its turn comes.
            done.promise.catch(() => {});
            const leaving = new AbortController();
            const taken = turns.take(user, leaving.signal, async () => {
              running.set(user, (running.get(user) ?? 0) + 1);
              expect(running.get(user)).toBeLessThanOrEqual(limits.atOnceOfOne);
              expect([...running.values()].reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(limits.atOnce);
              await done.promise.finally(() => running.set(user, running.get(user)! - 1));
            });
            all.push({
              end: done.resolve,
              fail: () => done.reject(new StainError('INTERNAL', 'On purpose.')),
              leave: () => leaving.abort(),
              done: taken.catch((error: unknown) => toStainError(error).code),
            });
          } else one?.[what]();
          await settled();
        }
        for (const { end } of all) end();
        const ends = await Promise.all(all.map(({ done }) => done));
        for (const code of ends) expect([undefined, 'QUEUE_FULL', 'CANCELLED', 'INTERNAL']).toContain(code);
        expect(turns).toMatchObject({ running: 0, waiting: 0 });
      }),
      { numRuns: runs(200) },
    );
  });

  it('skip requests for a busy subject, and return to them', async () => {
    const turns = new Turns({ atOnce: 4, atOnceOfOne: 4, maxOfOne: 10, atOnceOfSubject: 1 });
    const { signal } = new AbortController();
    const order: string[] = [];
    const ends = new Map<string, () => void>();
    const work = (name: string, subject: string): Promise<void> =>
      turns.take(
        'one',
        signal,
        () => {
          order.push(name);
          return new Promise<void>((end) => ends.set(name, end));
        },
        subject,
      );
    const all = [work('a', 'slow'), work('b', 'slow'), work('c', 'quick')];
    await expect.poll(() => order).toEqual(['a', 'c']);
    ends.get('a')!();
    await expect.poll(() => order).toEqual(['a', 'c', 'b']);
    for (const end of ends.values()) end();
    await Promise.all(all);
    expect([turns.running, turns.waiting]).toEqual([0, 0]);
  });

  it('leave a place to the next request when one ends', async () => {
    const turns = new Turns({ atOnce: 1, atOnceOfOne: 1, maxOfOne: 2 });
    const [first, second] = [steered(), steered()];
    const running = turns.take('a', never, first.work);
    const leaving = new AbortController();
    const waiting = turns.take('a', leaving.signal, second.work);
    await expect(turns.take('a', never, second.work)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    leaving.abort();
    await expect(waiting).rejects.toThrow();
    const third = steered();
    const last = turns.take('a', never, third.work);
    first.end();
    await running;
    await expect.poll(() => third.begun()).toBe(true);
    third.end();
    await last;
    expect(second.begun()).toBe(false);
  });
});
