/**
 * What users of one service see of each other: an archive that grants access by token, two users with a study each, one
 * study in common, and an administrator.
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { openAccess, openSearch } from '../../server/src/auth/access.ts';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createDicomWebClient } from '../../server/src/dicomweb/client.ts';
import { archiveProxy } from '../../server/src/http/archive-proxy.ts';
import { createLogger } from '../../server/src/http/log.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { readEvents } from '../http/read-events.ts';
import { openJobs, SteeredWork } from '../jobs/support.ts';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

/** Users by study: 1.1 belongs to alice, 1.2 to bob, 1.3 to both. */
const GRANTS: Record<string, string[]> = { alice: ['1.1', '1.3'], bob: ['1.2', '1.3'], admin: [] };

let issuer: Issuer;
let archive: Server;
let archiveUrl: string;
let archiveSees: (string | undefined)[] = [];
let archiveWorks = true;
const work = new SteeredWork();
const lines: string[] = [];
let jobs: JobService;
let service: TestApp;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  issuer = await startIssuer(['alice', 'bob', 'admin']);
  archive = createServer((request, response) => {
    const { authorization } = request.headers;
    archiveSees.push(authorization);
    if (!archiveWorks) return void response.writeHead(500).end();
    const token = /^Bearer (.+)/.exec(authorization ?? '')?.[1];
    const user = token && decodeJwt(token).sub;
    if (!user) return void response.writeHead(401).end();
    const [, study] = /\/studies\/([\d.]+)/.exec(request.url!) ?? [];
    const series = new URL(request.url!, 'http://x').searchParams.get('SeriesInstanceUID');
    response.setHeader('Content-Type', 'application/dicom+json');
    const isGranted = GRANTS[user]?.includes(study ?? '') ?? false;
    response.end(JSON.stringify(isGranted ? [{ '0020000E': { vr: 'UI', Value: [series] } }] : []));
  }).listen(0, '127.0.0.1');
  await once(archive, 'listening');
  archiveUrl = `http://127.0.0.1:${(archive.address() as AddressInfo).port}/dicom-web`;
  const config = loadConfig({
    env: {
      STAIN_OIDC_ISSUER: issuer.url,
      STAIN_OIDC_AUDIENCE: AUDIENCE,
      STAIN_DICOMWEB_URL: archiveUrl,
      STAIN_DICOMWEB_HEADERS: '{"Authorization":"Bearer the-credentials-of-the-service"}',
    },
  });
  const login = openLogin(config);
  const credentials = archiveCredentials(config.dicomweb);
  jobs = await openJobs({ run: work.run, concurrency: 4 });
  const refuse = async () => {
    throw new StainError('TOO_LITTLE_TISSUE', 'Seen.');
  };
  service = await startApp(jobs, {
    config,
    login,
    access: openAccess(config, login, credentials),
    log: createLogger({ level: 'trace', destination: { write: (line) => void lines.push(line) } }),
    preview: refuse,
    stainOf: refuse,
    createTemplate: refuse,
    archiveRouter: archiveProxy(
      { ...config.dicomweb, url: archiveUrl, bulkDataKey: randomBytes(32) },
      login,
      credentials,
    ),
    searchSeries: openSearch(config, login, createDicomWebClient({ url: archiveUrl }), credentials).series,
  });
  tokens['alice'] = await issuer.token('alice');
  tokens['bob'] = await issuer.token('bob');
  tokens['reader'] = await issuer.token('alice', 'stain.read');
  tokens['admin'] = await issuer.token('admin', 'stain.administer');
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await Promise.all([jobs.close(), issuer[Symbol.asyncDispose]()]);
  archive.closeAllConnections();
  archive.close();
});
beforeEach(() => {
  archiveWorks = true;
  archiveSees = [];
});

const ask = (user: string | undefined, path: string, body?: object, method = body ? 'POST' : 'GET') =>
  fetch(service.url + path, {
    method,
    headers: {
      ...(user && { Authorization: `Bearer ${tokens[user]}` }),
      ...(body && { 'Content-Type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
const told = async (response: Promise<Response>) => {
  const answer = await response;
  const { code } = (await answer.json()) as { code?: string };
  return [answer.status, code];
};
let next = 1;
const requestFor = (study: string) => ({
  studyInstanceUid: study,
  seriesInstanceUid: `${study}.${next++}`,
  template: 'one',
});
const submit = async (user: string, study: string): Promise<Job> => {
  const response = await ask(user, '/api/normalizations', requestFor(study));
  expect(response.status).toBe(202);
  return (await response.json()) as Job;
};

describe('without a valid token', () => {
  it.each([
    ['GET', '/api/normalizations'],
    ['GET', '/api/templates'],
    ['GET', '/api/models'],
    ['GET', '/api/device'],
    ['GET', '/api/studies/1.1/series/1.1.1/stain'],
    ['POST', '/api/normalizations'],
    ['POST', '/api/preview'],
    ['DELETE', '/api/templates/x'],
    ['GET', '/dicom-web/studies'],
    ['POST', '/dicom-web/studies'],
  ])('%s %s is refused, and the archive receives nothing', async (method, path) => {
    const response = await ask(undefined, path, undefined, method);
    expect(response.status).toBe(401);
    expect(response.headers.get('WWW-Authenticate')).toContain('Bearer');
    expect(archiveSees).toEqual([]);
  });

  it('health, error codes and the OpenAPI document are available', async () => {
    for (const path of ['/health', '/api/errors', '/openapi.json', '/docs/'])
      expect((await ask(undefined, path)).status).toBe(200);
  });
});

describe('a scope', () => {
  it.each([
    ['reader', 'POST', '/api/normalizations'],
    ['reader', 'POST', '/api/templates'],
    ['reader', 'POST', '/dicom-web/studies'],
    ['reader', 'DELETE', '/api/templates/x'],
    ['reader', 'PUT', '/api/templates/x'],
  ])('does not exist: %s %s %s', async (user, method, path) => {
    const response = await ask(user, path, method === 'POST' ? {} : undefined, method);
    expect(response.status).toBe(403);
    expect(response.headers.get('WWW-Authenticate')).toContain('insufficient_scope');
  });
});

describe('a slide that the archive does not show a user', () => {
  it.each([
    ['/api/normalizations', requestFor('1.2')],
    ['/api/preview', { ...requestFor('1.2'), region: { x: 0, y: 0, width: 10, height: 10 } }],
    ['/api/templates', { ...requestFor('1.2'), template: undefined, name: 'n', licence: 'l' }],
  ])('does not exist: %s', async (path, body) => {
    expect(await told(ask('alice', path, body))).toEqual([404, 'SERIES_NOT_FOUND']);
  });

  it('does not exist: its stain', async () => {
    const path = '/api/studies/1.2/series/1.2.9/stain';
    expect(await told(ask('alice', path))).toEqual([404, 'SERIES_NOT_FOUND']);
    expect(await told(ask('bob', path))).not.toEqual([404, 'SERIES_NOT_FOUND']);
  });

  it("is queried with the user's token, and never with the credentials of the service", async () => {
    await ask('alice', '/api/normalizations', requestFor('1.2'));
    await ask('alice', '/dicom-web/studies/1.1/series');
    expect(new Set(archiveSees)).toEqual(new Set([`Bearer ${tokens['alice']}`]));
  });
});

describe('jobs', () => {
  it('of a study that both see are visible to both; others, to those who requested them', async () => {
    const [own, common] = [await submit('bob', '1.2'), await submit('bob', '1.3')];
    const path = (job: Job) => `/api/normalizations/${job.id}`;
    expect(await told(ask('alice', path(own)))).toEqual([404, 'JOB_NOT_FOUND']);
    expect(await told(ask('alice', `${path(own)}/events`))).toEqual([404, 'JOB_NOT_FOUND']);
    expect(await told(ask('alice', `${path(own)}/cancel`, {}))).toEqual([404, 'JOB_NOT_FOUND']);
    expect((await ask('alice', path(common))).status).toBe(200);
    const list = async (user: string) => {
      const response = await ask(user, '/api/normalizations');
      return ((await response.json()) as { jobs: Job[] }).jobs.map(({ id }) => id);
    };
    expect(await list('alice')).toContain(common.id);
    expect(await list('alice')).not.toContain(own.id);
    expect(await list('bob')).toEqual(expect.arrayContaining([own.id, common.id]));
  });

  it('can be cancelled by those who requested them', async () => {
    const job = await submit('bob', '1.3');
    const path = `/api/normalizations/${job.id}/cancel`;
    expect(await told(ask('alice', path, {}))).toEqual([403, 'FORBIDDEN']);
    expect([200, 202]).toContain((await ask('bob', path, {})).status);
  });

  it('are hidden from others while the archive cannot be queried', async () => {
    const job = await submit('bob', '1.3');
    archiveWorks = false;
    expect((await ask('alice', `/api/normalizations/${job.id}`)).status).toBe(502);
    expect((await ask('bob', `/api/normalizations/${job.id}`)).status).toBe(200);
  });

  it('name their requester, and contain no token', async () => {
    const job = await submit('alice', '1.1');
    expect(job.requestedBy).toBe(`${issuer.url}#alice`);
    const response = await ask('alice', `/api/normalizations/${job.id}`);
    expect(await response.text()).not.toContain(tokens['alice']);
    expect(lines.join('')).toContain('request');
    for (const token of Object.values(tokens)) expect(lines.join('')).not.toContain(token);
  });
});

it('an event stream ends with the token', async () => {
  const { id } = await submit('alice', '1.1');
  tokens['short'] = await issuer.forge({ sub: 'alice', exp: Math.floor(Date.now() / 1000) + 2 });
  const response = await ask('short', `/api/normalizations/${id}/events`);
  expect(response.status).toBe(200);
  // The stream ends by itself, although the job continues.
  const events = [];
  for await (const event of readEvents(response)) events.push(event);
  expect(events.length).toBeGreaterThan(0);
  expect(['SCHEDULED', 'IN PROGRESS']).toContain((await jobs.get(id)).state);
});
