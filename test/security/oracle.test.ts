/**
 * What users can find out about the work of others: nothing, not even that it exists. The archive here grants access by
 * token; what is hidden and what does not exist must get the same response, header for header.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import { openAccess, openSearch } from '../../server/src/auth/access.ts';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobs } from '../jobs/support.ts';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { startApp, type TestApp } from '../support/test-app.ts';
import { makeWorkitem } from '../support/workitem.ts';

/** 1.1 belongs to alice, 1.2 to bob, 1.3 to both. */
const GRANTS: Record<string, string[]> = { alice: ['1.1', '1.3'], bob: ['1.2', '1.3'] };

const open = new AsyncDisposableStack();
let issuer: Issuer;
let jobs: JobService;
let service: TestApp;
let archiveWorks = true;
const audit: AuditEntry[] = [];
const tokens: Record<string, string> = {};

beforeAll(async () => {
  issuer = open.use(await startIssuer(['alice', 'bob', 'admin']));
  const archive: Server = createServer((request, response) => {
    if (!archiveWorks) return void response.writeHead(500).end();
    const user = decodeJwt(/^Bearer (.+)/.exec(request.headers.authorization!)![1]!).sub!;
    const url = new URL(request.url!, 'http://archive');
    const study = /\/studies\/([\d.]+)/.exec(url.pathname)?.[1] ?? url.searchParams.get('StudyInstanceUID');
    const series = url.searchParams.get('SeriesInstanceUID') ?? `${study}.1`;
    const found = [{ '0020000D': { vr: 'UI', Value: [study] }, '0020000E': { vr: 'UI', Value: [series] } }];
    response.setHeader('Content-Type', 'application/dicom+json');
    response.end(JSON.stringify(GRANTS[user]?.includes(study!) ? found : []));
  }).listen(0, '127.0.0.1');
  await once(archive, 'listening');
  open.defer(() => {
    archive.closeAllConnections();
    archive.close();
  });
  const url = `http://127.0.0.1:${(archive.address() as AddressInfo).port}/dicom-web`;
  const config = loadConfig({
    env: {
      STAIN_OIDC_ISSUER: issuer.url,
      STAIN_OIDC_AUDIENCE: AUDIENCE,
      STAIN_DICOMWEB_URL: url,
      STAIN_LIMITS_REQUESTS_PER_SECOND: '1000',
    },
  });
  const login = openLogin(config);
  const credentials = archiveCredentials(config.dicomweb);
  const limits = { jobTimeoutMinutes: 10, maxQueuedJobs: 5000, jobsPerUser: 5000 };
  jobs = await openJobs({ concurrency: 0, limits });
  open.defer(() => jobs.close());
  service = open.use(
    await startApp(jobs, {
      config,
      login,
      access: openAccess(config, login, credentials),
      audit: { record: (entry) => void audit.push(entry) },
      searchSeries: openSearch(config, login, createDicomWebClient({ url }), credentials).series,
    }),
  );
  for (const user of ['alice', 'bob']) tokens[user] = await issuer.token(user);
  tokens['admin'] = await issuer.token('admin', 'stain.administer');
});
afterAll(() => open.disposeAsync());
beforeEach(() => {
  archiveWorks = true;
  audit.length = 0;
});

const ask = (user: string, path: string, init: RequestInit & { json?: unknown; type?: string } = {}) =>
  fetch(service.url + path, {
    ...init,
    headers: {
      Authorization: `Bearer ${tokens[user]}`,
      ...(init.json !== undefined && { 'Content-Type': init.type ?? 'application/json' }),
    },
    ...(init.json !== undefined && { body: JSON.stringify(init.json) }),
  });
let next = 1;
const requestFor = (study: string) => ({
  studyInstanceUid: study,
  seriesInstanceUid: `${study}.${next++}`,
  template: 'one',
});
const submit = async (user: string, study: string): Promise<Job> => {
  const response = await ask(user, '/api/normalizations', { method: 'POST', json: requestFor(study) });
  expect(response.status).toBe(202);
  return (await response.json()) as Job;
};
/**
 * Everything that a client can distinguish, without its own input and what differs in every request (the id and its
 * hash).
 */
async function shapeOf(response: Response, ...asked: readonly string[]): Promise<string> {
  const headers = [...response.headers].filter(
    ([name]) =>
      !['date', 'x-request-id', 'ratelimit', 'ratelimit-policy', 'content-length', 'etag'].includes(name),
  );
  let text = JSON.stringify([response.status, headers, await response.text()]);
  for (const part of asked) text = text.replaceAll(part, 'ASKED');
  return text.replace(/urn:uuid:[0-9a-f-]{36}/g, 'REQUEST');
}
const createWorkitem = (user: string, uid: string, study: string) =>
  ask(user, `/ups-rs/workitems?workitem=${uid}`, {
    method: 'POST',
    json: [
      makeWorkitem({ studyInstanceUid: study, seriesInstanceUid: `${study}.${next++}` }, { TEMPLATE: 'one' }),
    ],
    type: 'application/dicom+json',
  });

describe('attack: counting the jobs of others by gaps in lists', () => {
  const pages = async (user: string, limit: number, filter = ''): Promise<string[][]> => {
    const found: string[][] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const query = `?limit=${limit}${filter}${cursor && `&cursor=${cursor}`}`;
      const response = await ask(user, `/api/normalizations${query}`);
      expect(response.status).toBe(200);
      const page = (await response.json()) as { jobs: Job[]; next: string | null };
      found.push(page.jobs.map(({ id }) => id));
      cursor = page.next;
    }
    return found;
  };
  let own: string[];

  beforeAll(async () => {
    own = [];
    for (const others of [30, 1, 0, 120, 7])
      for (let i = 0; i <= others; i++) {
        if (i === others) own.unshift((await submit('alice', '1.1')).id);
        else await submit('bob', '1.2');
      }
    // The oldest and the newest of all are not hers.
    await submit('bob', '1.2');
  });

  it('pages are full, and the last one is known to be the last', async () => {
    expect(await pages('alice', 2)).toEqual([own.slice(0, 2), own.slice(2, 4), own.slice(4)]);
    expect(await pages('alice', 5)).toEqual([own]);
    expect(await pages('alice', 100)).toEqual([own]);
    expect(await pages('alice', 5, '&state=SCHEDULED')).toEqual([own]);
    expect(await pages('alice', 5, '&series=1.2.1')).toEqual([[]]);
  });

  it('cursors reveal no numbers, and are useless to others', async () => {
    const read = async (): Promise<string> =>
      ((await (await ask('alice', '/api/normalizations?limit=1')).json()) as { next: string }).next;
    const [one, two] = [await read(), await read()];
    expect(one).not.toBe(two);
    expect(one).not.toMatch(/^\d+$/);
    const use = (user: string, cursor: string) => ask(user, `/api/normalizations?limit=1&cursor=${cursor}`);
    expect((await use('alice', one)).status).toBe(200);
    const changed = `${one.startsWith('A') ? 'B' : 'A'}${one.slice(1)}`;
    const garbage = await shapeOf(await use('bob', 'A'.repeat(one.length)));
    expect(JSON.parse(garbage)[0]).toBe(400);
    expect([await shapeOf(await use('bob', one))]).toEqual([garbage]);
    expect(await shapeOf(await use('alice', changed))).toBe(garbage);
    expect(await shapeOf(await use('alice', '17'))).toBe(garbage);
  });

  it('the search for work items counts offset and limit among visible ones', async () => {
    const uids = async (query: string): Promise<string[]> => {
      const response = await ask('alice', `/ups-rs/workitems?${query}`);
      if (response.status === 204) return [];
      return ((await response.json()) as any[]).map((item) => item['00080018'].Value[0]);
    };
    const all = await uids('limit=500');
    expect(all).toHaveLength(own.length);
    expect(await uids('limit=2&offset=1')).toEqual(all.slice(1, 3));
    expect(await uids('StudyInstanceUID=1.1&limit=1&offset=4')).toEqual(all.slice(4, 5));
    expect(await uids('StudyInstanceUID=1.2')).toEqual([]);
  });
});

describe('attack: requesting what is hidden, to see whether it exists', () => {
  it.each([
    ['GET', ''],
    ['GET', '/events'],
    ['DELETE', ''],
    ['POST', '/cancel'],
  ])('a job, %s %s', async (method, path) => {
    const hidden = await submit('bob', '1.2');
    const unknown = crypto.randomUUID();
    const answers = await Promise.all(
      [hidden.id, unknown].map(async (id) =>
        shapeOf(await ask('alice', `/api/normalizations/${id}${path}`, { method }), id),
      ),
    );
    expect([answers[0]]).toEqual([answers[1]]);
    expect(JSON.parse(answers[0]!)[0]).toBe(404);
    expect((await jobs.get(hidden.id)).state).toBe('SCHEDULED');
  });

  it.each([
    ['GET', '', undefined],
    ['POST', '', [{}]],
    ['PUT', '/state', [{ '00741000': { vr: 'CS', Value: ['CANCELED'] } }]],
    ['POST', '/cancelrequest', undefined],
  ])('a work item, %s %s, also while the archive is away', async (method, path, json) => {
    for (const works of [true, false]) {
      // Each requests its own series, because what the archive said about one is remembered.
      const [uid, unknown] = [`1.2.840.7.${next++}`, `1.2.840.8.${next++}`];
      archiveWorks = true;
      expect((await createWorkitem('bob', uid, '1.2')).status).toBe(201);
      archiveWorks = works;
      const answers = await Promise.all(
        [uid, unknown].map(async (asked) =>
          shapeOf(
            await ask('alice', `/ups-rs/workitems/${asked}${path}`, {
              method,
              json,
              type: 'application/dicom+json',
            }),
            asked,
          ),
        ),
      );
      expect([answers[0]]).toEqual([answers[1]]);
      expect(JSON.parse(answers[0]!)[0]).toBe(404);
    }
  });

  it('a series, by requesting its normalisation', async () => {
    // The meaning of the request at this time is not part of it.
    const {
      templateSha256: _,
      sourceSha256: __,
      contentSha256: ___,
      ...hidden
    } = (await submit('bob', '1.2')).request;
    const unknown = { ...hidden, studyInstanceUid: '1.9', seriesInstanceUid: '1.9.1' };
    const answers = await Promise.all(
      [hidden, unknown].map(async (json) =>
        shapeOf(
          await ask('alice', '/api/normalizations', { method: 'POST', json }),
          json.seriesInstanceUid,
          json.studyInstanceUid,
        ),
      ),
    );
    expect([answers[0]]).toEqual([answers[1]]);
    expect(JSON.parse(answers[0]!)[0]).toBe(404);
  });

  it.each([
    ['GET', ''],
    ['GET', '/report.csv'],
    ['POST', '/cancel'],
  ])('a batch, %s %s', async (method, path) => {
    const made = await ask('bob', '/api/batches', {
      method: 'POST',
      json: { query: { StudyInstanceUID: '1.2' }, template: 'one' },
    });
    const { id } = (await made.json()) as { id: string };
    const answers = await Promise.all(
      [id, crypto.randomUUID()].map(async (asked) =>
        shapeOf(await ask('alice', `/api/batches/${asked}${path}`, { method }), asked),
      ),
    );
    expect([answers[0]]).toEqual([answers[1]]);
    expect(JSON.parse(answers[0]!)[0]).toBe(404);
  });
});

describe('attack: creating a work item whose UID another user may have', () => {
  it("a hidden work item's UID is free, and each user finds the own item under it", async () => {
    const [taken, free] = [`1.2.840.5.${next++}`, `1.2.840.5.${next++}`];
    expect((await createWorkitem('bob', taken, '1.2')).status).toBe(201);
    const answers = [
      await shapeOf(await createWorkitem('alice', taken, '1.1'), taken),
      await shapeOf(await createWorkitem('alice', free, '1.1'), free),
    ];
    expect([answers[0]]).toEqual([answers[1]]);
    expect(JSON.parse(answers[0]!)[0]).toBe(201);
    const seriesOf = async (user: string): Promise<string> =>
      ((await (await ask(user, `/ups-rs/workitems/${taken}`)).json()) as any)[0]['00404021'].Value[0][
        '0020000D'
      ].Value[0];
    expect([await seriesOf('alice'), await seriesOf('bob')]).toEqual(['1.1', '1.2']);
    // Cancelling affects only the own one.
    expect((await ask('alice', `/ups-rs/workitems/${taken}/cancelrequest`, { method: 'POST' })).status).toBe(
      202,
    );
    const states = (await jobs.findWorkitems(taken)).map(({ requestedBy, state }) => [
      requestedBy.split('#')[1],
      state,
    ]);
    expect(states).toEqual([
      ['bob', 'SCHEDULED'],
      ['alice', 'CANCELED'],
    ]);
  });

  it('the UID generated for a hidden job is free as well', async () => {
    const { workitemUid } = await submit('bob', '1.2');
    expect((await createWorkitem('alice', workitemUid, '1.1')).status).toBe(201);
  });

  it('the UID of a visible work item is taken', async () => {
    const [own, common] = [`1.2.840.6.${next++}`, `1.2.840.6.${next++}`];
    expect((await createWorkitem('alice', own, '1.1')).status).toBe(201);
    expect((await createWorkitem('alice', own, '1.1')).status).toBe(409);
    expect((await createWorkitem('bob', common, '1.3')).status).toBe(201);
    expect((await createWorkitem('alice', common, '1.1')).status).toBe(409);
  });
});

describe('the audit trail names who was refused, and what was requested', () => {
  const refused = async (send: Promise<Response>): Promise<AuditEntry | undefined> => {
    await (await send).text();
    const find = () => audit.find(({ event }) => event === 'access-refused');
    await expect.poll(find).toBeDefined();
    return find();
  };
  const alice = () => ({ principal: `${issuer.url}#alice`, address: '127.0.0.1', outcome: 'failure' });

  it('a hidden job, also if nothing else is audited', async () => {
    const { id } = await submit('bob', '1.2');
    expect(await refused(ask('alice', `/api/normalizations/${id}`))).toMatchObject({
      ...alice(),
      jobId: id,
      method: 'GET',
      route: '/api/normalizations/:id',
      code: 'JOB_NOT_FOUND',
    });
    audit.length = 0;
    await ask('alice', `/api/normalizations/${crypto.randomUUID()}`);
    await ask('bob', `/api/normalizations/${id}`);
    expect(audit).toEqual([]);
  });

  it('a hidden series', async () => {
    const json = requestFor('1.2');
    expect(await refused(ask('alice', '/api/normalizations', { method: 'POST', json }))).toMatchObject({
      ...alice(),
      ...json,
      route: '/api/normalizations',
      code: 'SERIES_NOT_FOUND',
    });
    audit.length = 0;
    expect(await refused(ask('alice', '/api/studies/1.2/series/1.2.3/colour-table'))).toMatchObject({
      ...alice(),
      studyInstanceUid: '1.2',
      seriesInstanceUid: '1.2.3',
      route: '/api/studies/:study/series/:series/colour-table',
    });
  });

  it('a hidden work item, and creating one for a hidden series', async () => {
    const uid = `1.2.840.4.${next++}`;
    await createWorkitem('bob', uid, '1.2');
    audit.length = 0;
    expect(
      await refused(ask('alice', `/ups-rs/workitems/${uid}/cancelrequest`, { method: 'POST' })),
    ).toMatchObject({ ...alice(), workitemUid: uid, code: 'WORKITEM_NOT_FOUND', method: 'POST' });
    audit.length = 0;
    expect(await refused(createWorkitem('alice', '1.2.840.4', '1.2'))).toMatchObject({
      ...alice(),
      studyInstanceUid: '1.2',
      template: 'one',
      route: '/ups-rs/workitems',
    });
  });
});

it('attack: finding the batch of another user through a job that both may see', async () => {
  await ask('bob', '/api/batches', {
    method: 'POST',
    json: { query: { StudyInstanceUID: '1.3' }, template: 'one' },
  });
  const find = async (user: string): Promise<Job | undefined> =>
    ((await (await ask(user, '/api/normalizations?series=1.3.1')).json()) as { jobs: Job[] }).jobs[0];
  await expect.poll(() => find('bob'), { timeout: 30_000 }).toMatchObject({ batch: expect.any(String) });
  const seen = await find('alice');
  expect(seen).toMatchObject({ batch: null });
  expect(await (await ask('alice', `/api/normalizations/${seen!.id}`)).json()).toMatchObject({ batch: null });
  const again = await ask('alice', '/api/normalizations', {
    method: 'POST',
    json: { studyInstanceUid: '1.3', seriesInstanceUid: '1.3.1', template: 'one' },
  });
  expect(await again.json()).toMatchObject({ batch: null });
});
