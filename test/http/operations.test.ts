/** The operator's page and what its forms do, over a real queue whose work the test controls. */
import { Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Batch, BatchReport, Job } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { create, FINGERPRINT, openJobs, RESULT, request, SteeredWork, until } from '../jobs/support.ts';
import { SCOPED_LOGIN } from '../support/scoped-login.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const work = new SteeredWork();
const records: AuditEntry[] = [];
let trail: string | undefined = '{"a":1}\n';
let jobs: JobService;
let batches: BatchService;
let app: TestApp;
let found: DicomJson[] = [];
/** Series that cannot be normalised at the moment. */
const refused = new Set<string>();

beforeAll(async () => {
  jobs = await openJobs({
    run: work.run,
    fingerprint: async ({ seriesInstanceUid }) => {
      if (refused.has(seriesInstanceUid)) throw new StainError('NOT_WHOLE_SLIDE', 'A CT, <b>"axial"</b>.');
      return FINGERPRINT;
    },
  });
  batches = new BatchService({ jobs, pollMs: 50, onFault: () => {} });
  app = await startApp(jobs, {
    batches,
    login: SCOPED_LOGIN,
    audit: {
      record: (entry) => void records.push(entry),
      read: async () => (trail === undefined ? undefined : Readable.from([Buffer.from(trail)])),
    },
    archive: { name: 'https://archive.example/dicom-web' },
    checks: {
      database: () => jobs.ping(),
      archive: async () => {
        throw new StainError('ARCHIVE_UNREACHABLE', 'secret address');
      },
    },
    searchSeries: async () => found,
  });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await jobs.close();
});
beforeEach(() => void records.splice(0));

const ask = (path: string, user?: string, init: RequestInit = {}) =>
  fetch(app.url + path, {
    redirect: 'manual',
    ...init,
    headers: {
      ...(user && { Authorization: `Bearer ${user}` }),
      ...(init.headers as Record<string, string>),
    },
  });
const pageText = async (query = '') => (await ask(`/api/operations.html${query}`, 'administer')).text();
const post = (path: string, headers: Record<string, string> = {}, user = 'administer') =>
  ask(`/api/operations${path}`, user, { method: 'POST', headers });
/** The part of the page with that heading. */
const part = (page: string, id: string): string =>
  new RegExp(`<section aria-labelledby="${id}">(.*?)</section>`, 's').exec(page)![1]!;
const seriesIn = (text: string): string[] =>
  [...text.matchAll(/<code>(1\.2[.\d]+)<\/code>/g)].map(([, uid]) => uid!);

async function failed(code: 'TOO_LITTLE_TISSUE' | 'STAIN_NOT_HE', wanted = request()): Promise<Job> {
  const call = work.next();
  const { job } = await create(jobs, wanted);
  (await call).fail(new StainError(code, 'Why <i>not</i>.'));
  return until(jobs, job.id, 'FAILED');
}

async function newBatch(...uids: string[]): Promise<string> {
  found = uids.map((uid) => ({
    '0020000D': { vr: 'UI', Value: ['1.2.3'] },
    '0020000E': { vr: 'UI', Value: [uid] },
  }));
  const answer = await ask('/api/batches', 'administer', {
    method: 'POST',
    body: JSON.stringify({ query: {}, template: 'one' }),
    headers: { 'Content-Type': 'application/json' },
  });
  return ((await answer.json()) as Batch).id;
}
const report = async (id: string) =>
  (await (await ask(`/api/batches/${id}`, 'administer')).json()) as BatchReport;
const statesOf = async (id: string) => (await report(id)).series.map(({ state }) => state);

const ADDRESSES = [
  ['GET', '/api/operations.html'],
  ['GET', '/api/audit.ndjson'],
  ['POST', '/api/operations/normalizations/00000000-0000-4000-8000-000000000000/retry'],
  ['POST', '/api/operations/batches/00000000-0000-4000-8000-000000000000/retry'],
  ['POST', '/api/operations/rules/night/retry'],
] as const;

describe('for administrators only', () => {
  it.each(ADDRESSES)('%s %s', async (method, path) => {
    for (const user of ['read', 'normalize']) {
      const answer = await ask(path, user, { method });
      expect(answer.status).toBe(403);
      expect(await answer.json()).toMatchObject({ code: 'FORBIDDEN' });
    }
    expect((await ask(path, undefined, { method })).status).toBe(401);
    expect((await ask(path, 'administer', { method })).status).not.toBe(403);
  });

  it('and no page of another origin sends its forms', async () => {
    const { id } = await failed('TOO_LITTLE_TISSUE');
    for (const [name, value] of [
      ['Origin', 'https://evil.example'],
      ['Origin', 'null'],
      ['Sec-Fetch-Site', 'cross-site'],
    ] as const) {
      const answer = await post(`/normalizations/${id}/retry`, { [name]: value });
      expect(answer.status).toBe(403);
      expect(await answer.json()).toMatchObject({ code: 'ORIGIN_REFUSED' });
    }
    expect(await jobs.queue(10)).toEqual([]);
  });
});

it('needs nothing but its style, and tells the browser to send its own origin with a form', async () => {
  const { headers } = await ask('/api/operations.html', 'administer');
  expect(headers.get('Content-Security-Policy')).toMatch(
    /^default-src 'none'; style-src 'sha256-[^']+'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'$/,
  );
  expect(headers.get('Referrer-Policy')).toBe('same-origin');
  expect(headers.get('Cache-Control')).toBe('no-store');
  expect(await pageText()).not.toMatch(/<script| on\w+=/);
});

describe('the page', () => {
  it('lists what failed or may not be H&E, the last outcome of each slide, the most pressing first', async () => {
    const other = await failed('STAIN_NOT_HE');
    const again = request();
    await failed('TOO_LITTLE_TISSUE', again);
    const call = work.next();
    const { job } = await create(jobs, again);
    (await call).succeed();
    await until(jobs, job.id, 'COMPLETED');
    const unsure = request();
    const unsureCall = work.next();
    const made = await create(jobs, unsure);
    const outOfDistribution = { verdict: 'unsure', score: 0.61, reasons: ['Is it?'] } as const;
    (await unsureCall).succeed({ ...RESULT, outOfDistribution });
    await until(jobs, made.job.id, 'COMPLETED');
    const last = await failed('TOO_LITTLE_TISSUE');

    const look = part(await pageText(), 'look');
    const listed = seriesIn(look);
    const uidOf = ({ request: { seriesInstanceUid } }: Pick<Job, 'request'>) => seriesInstanceUid;
    expect(listed).not.toContain(again.seriesInstanceUid);
    expect(
      listed.filter((uid) => [uidOf(last), uidOf(other), unsure.seriesInstanceUid].includes(uid)),
    ).toEqual([uidOf(last), uidOf(other), unsure.seriesInstanceUid]);
    expect(look).toContain('score 0.61');
    expect(look).toContain('Why &#60;i&#62;not&#60;/i&#62;.');
    // With what to do about it.
    expect(look).toContain('<span class="fault">TOO_LITTLE_TISSUE</span>');
    expect(look).toContain(`/api/operations/normalizations/${last.id}/retry`);
    // What was stored cannot be tried again.
    expect(look).not.toContain(made.job.id);
  });

  it('shows what runs and how far it is, and the queue in its order', async () => {
    const [call, [first, second, third]] = [work.next(), [request(), request(), request()]];
    const running = await create(jobs, first);
    (await call).progress(0.25);
    const batchJob = await create(jobs, second, { priority: 'batch' });
    const personal = await create(jobs, third);
    await expect.poll(async () => part(await pageText(), 'running')).toContain('normalize, 25 %');
    const page = await pageText();
    expect(seriesIn(part(page, 'running'))).toEqual([first.seriesInstanceUid]);
    expect(seriesIn(part(page, 'queue'))).toEqual([third.seriesInstanceUid, second.seriesInstanceUid]);
    expect(page).toContain('<b>2</b> in the queue');
    for (const { job } of [batchJob, personal, running]) await jobs.cancel(job.id);
    await until(jobs, running.job.id, 'CANCELED');
  });

  it('shows which check fails and what to do, but no address that its message may hold', async () => {
    const health = part(await pageText(), 'archive');
    expect(health).toContain('https://archive.example/dicom-web');
    expect(health).toContain('ARCHIVE_UNREACHABLE');
    expect(health).not.toContain('secret address');
    expect(health).toMatch(/database<\/th><td[^>]*>works/);
  });

  it('counts the slides of the last hour and day', async () => {
    expect(part(await pageText(), 'throughput')).toMatch(/Last hour<\/th><td[^>]*>2<\/td>/);
  });

  it('shows every template with its picture', async () => {
    expect(part(await pageText(), 'templates')).toMatch(
      /<img loading="lazy" alt="The stain of [^"]+" src="\/api\/templates\/one\/thumbnail\?sha256=[0-9a-f]{64}">/,
    );
  });
});

describe('"Try again"', () => {
  it('repeats the request of a job that failed, for the operator, and says so', async () => {
    const old = await failed('TOO_LITTLE_TISSUE');
    const call = work.next();
    const answer = await post(`/normalizations/${old.id}/retry`);
    expect(answer.status).toBe(303);
    expect(answer.headers.get('Location')).toBe('/api/operations.html?retried=1');
    const { job, request: again } = await call;
    expect(again).toEqual(old.request);
    expect(await jobs.get(job)).toMatchObject({ requestedBy: 'administer', priority: 'interactive' });
    expect(records).toMatchObject([
      { event: 'normalization-retried', outcome: 'success', principal: 'administer', jobId: old.id },
    ]);
    expect(await pageText('?retried=1')).toContain(
      '<p class="message" role="status">One slide is tried again.',
    );
    // While it runs, there is nothing to try again.
    expect((await post(`/normalizations/${old.id}/retry`)).headers.get('Location')).toMatch(/retried=0$/);
    expect((await post(`/normalizations/${job}/retry`)).headers.get('Location')).toMatch(/retried=0$/);
    (await call).succeed();
    await until(jobs, job, 'COMPLETED');
  });

  it('puts another job into the place of one that failed in a batch', async () => {
    const call = work.next();
    const id = await newBatch('1.2.7.1');
    (await call).fail(new StainError('TOO_LITTLE_TISSUE', 'Glass.'));
    await expect.poll(() => statesOf(id)).toEqual(['FAILED']);
    const old = (await report(id)).series[0]!.job!;
    const next = work.next();
    expect((await post(`/normalizations/${old}/retry`)).headers.get('Location')).toMatch(/retried=1$/);
    (await next).succeed();
    await expect.poll(() => statesOf(id)).toEqual(['COMPLETED']);
    expect((await report(id)).series[0]!.job).not.toBe(old);
  });

  it('tries again what a batch refused, one slide or all of them', async () => {
    const uids = ['1.2.8.1', '1.2.8.2'];
    for (const uid of uids) refused.add(uid);
    const id = await newBatch(...uids);
    await expect.poll(() => statesOf(id)).toEqual(['REFUSED', 'REFUSED']);
    const look = part(await pageText(), 'look');
    const line = new RegExp(`/batches/${id}/retry\\?position=(\\d+)&#38;part=0`).exec(look)![1]!;
    expect(look).toContain('A CT, &#60;b&#62;&#34;axial&#34;&#60;/b&#62;.');
    const first = (await report(id)).series[Number(line) - 1]!.seriesInstanceUid;
    refused.delete(first);
    let call = work.next();
    expect((await post(`/batches/${id}/retry?position=${line}&part=0`)).headers.get('Location')).toMatch(
      /retried=1$/,
    );
    (await call).succeed();
    await expect.poll(async () => (await statesOf(id)).toSorted()).toEqual(['COMPLETED', 'REFUSED']);
    refused.clear();
    call = work.next();
    expect((await post(`/batches/${id}/retry`)).headers.get('Location')).toMatch(/retried=1$/);
    (await call).succeed();
    await expect.poll(() => statesOf(id)).toEqual(['COMPLETED', 'COMPLETED']);
    expect((await post(`/batches/${id}/retry`)).headers.get('Location')).toMatch(/retried=0$/);
  });

  it('leaves a cancelled batch alone', async () => {
    refused.add('1.2.9.1');
    const id = await newBatch('1.2.9.1');
    await expect.poll(() => statesOf(id)).toEqual(['REFUSED']);
    await ask(`/api/batches/${id}/cancel`, 'administer', { method: 'POST' });
    expect((await post(`/batches/${id}/retry`)).headers.get('Location')).toMatch(/retried=0$/);
    expect(await statesOf(id)).toEqual(['REFUSED']);
  });

  it('says on the page why it did not work; a script gets the problem', async () => {
    const path = '/normalizations/00000000-0000-4000-8000-000000000000/retry';
    const page = await post(path, { Accept: 'text/html,*/*;q=0.8' });
    expect(page.status).toBe(404);
    expect(await page.text()).toMatch(/role="alert">JOB_NOT_FOUND: There is no job/);
    expect(await (await post(path)).json()).toMatchObject({ code: 'JOB_NOT_FOUND' });
    expect(await (await post('/rules/night/retry')).json()).toMatchObject({ code: 'RULE_NOT_FOUND' });
    for (const query of ['?position=1', '?position=-1&part=0', '?position=x&part=0', '?other=1'])
      expect((await post(`/batches/00000000-0000-4000-8000-000000000000/retry${query}`)).status).toBe(400);
  });
});

describe('while something is wrong', () => {
  const HTML = { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
  const away = () =>
    vi.spyOn(jobs, 'get').mockRejectedValueOnce(new StainError('DATABASE_UNAVAILABLE', 'It <is> away.'));

  it('a browser sees a page that says what, and loads it again; a script gets the problem', async () => {
    for (const accept of [HTML, { Accept: 'application/json' }, {}]) {
      vi.spyOn(jobs, 'queue').mockRejectedValueOnce(new StainError('DATABASE_UNAVAILABLE', 'It <is> away.'));
      const answer = await ask('/api/operations.html', 'administer', { headers: accept });
      expect(answer.status).toBe(503);
      expect(answer.headers.get('Retry-After')).toBe('5');
      if (accept !== HTML) {
        expect(await answer.json()).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
        continue;
      }
      expect(answer.headers.get('Content-Type')).toMatch(/^text\/html/);
      expect(answer.headers.get('Content-Security-Policy')).toMatch(
        /^default-src 'none'; style-src 'sha256-/,
      );
      expect(answer.headers.get('Cache-Control')).toBe('no-store');
      const page = await answer.text();
      expect(page).toContain('<meta http-equiv="refresh" content="5">');
      expect(page).toMatch(/role="alert">DATABASE_UNAVAILABLE: It &#60;is&#62; away\. <span>\w+/);
      expect(page).toContain('This page loads again by itself');
    }
  });

  it('a form that could not be sent leads back to the page', async () => {
    const path = '/normalizations/00000000-0000-4000-8000-000000000000/retry';
    away();
    const answer = await post(path, HTML);
    expect(answer.status).toBe(503);
    const page = await answer.text();
    expect(page).toContain('<a href="/api/operations.html">');
    expect(page).not.toContain('http-equiv="refresh"');
    away();
    expect(await (await post(path)).json()).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  });

  it('neither a page nor a download shows JSON to people', async () => {
    for (const [path, user, code] of [
      ['/api/operations.html', 'read', 'FORBIDDEN'],
      ['/api/operations.html', undefined, 'UNAUTHENTICATED'],
      ['/api/operations.html?retried=x', 'administer', 'REQUEST_INVALID'],
      ['/api/quality.html?page=0', 'administer', 'REQUEST_INVALID'],
      ['/api/quality.csv?from=x', 'administer', 'REQUEST_INVALID'],
    ] as const) {
      const answer = await ask(path, user, { headers: HTML });
      expect(answer.headers.get('Content-Type')).toMatch(/^text\/html/);
      expect(await answer.text()).toContain(`role="alert">${code}: `);
    }
  });
});

it('exports the audit trail, and records that', async () => {
  const answer = await ask('/api/audit.ndjson', 'administer');
  expect(answer.headers.get('Content-Type')).toBe('application/x-ndjson');
  expect(answer.headers.get('Content-Disposition')).toBe('attachment; filename=audit.ndjson');
  expect(await answer.text()).toBe(trail);
  expect(records).toMatchObject([{ event: 'audit-exported', principal: 'administer', outcome: 'success' }]);
  trail = undefined;
  expect((await ask('/api/audit.ndjson', 'administer')).status).toBe(404);
});
