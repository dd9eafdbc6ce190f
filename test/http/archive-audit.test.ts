/** What the audit trail records of requests at /dicom-web, to the embedded archive and to a configured one. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import express from 'express';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import type { Login } from '../../server/src/auth/login.ts';
import { SCOPES } from '../../server/src/auth/principal.ts';
import type { AppOptions } from '../../server/src/http/app.ts';
import { archiveProxy } from '../../server/src/http/archive-proxy.ts';
import { archiveTarget } from '../../server/src/http/archive-target.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobs } from '../jobs/support.ts';
import { bodyOf, type FaultServer, type Handler, startFaultServer } from '../support/fault-server.ts';
import { serveArchive } from '../support/serve-archive.ts';
import { storableSlide } from '../support/storable.ts';
import { startApp } from '../support/test-app.ts';

/** Accepts any token as the name of its user. */
const login: Login = {
  isRequired: true,
  async identify(authorization) {
    const id = /^Bearer (\w+)$/.exec(authorization ?? '')?.[1];
    if (id === undefined) throw new StainError('UNAUTHENTICATED', 'The request has no bearer token.');
    return { id, scopes: new Set(SCOPES), token: id };
  },
};

let jobs: JobService;
beforeAll(async () => {
  jobs = await openJobs();
});
afterAll(() => jobs.close());

let open: AsyncDisposableStack;
let records: AuditEntry[];
beforeEach(() => {
  open = new AsyncDisposableStack();
  records = [];
});
afterEach(() => open.disposeAsync());

async function start(options: Partial<AppOptions>) {
  const audit = { record: (entry: AuditEntry) => void records.push(entry) };
  const { url } = open.use(await startApp(jobs, { login, audit, ...options }));
  const ask = async (user: string, path: string, init: RequestInit = {}) => {
    const headers = { authorization: `Bearer ${user}`, ...(init.headers as Record<string, string>) };
    const answer = await fetch(`${url}/dicom-web${path}`, { ...init, headers });
    await answer.arrayBuffer();
    return answer.status;
  };
  const told = () =>
    records.map(({ event, principal, studyInstanceUid, outcome }) => [
      event,
      principal,
      studyInstanceUid,
      outcome,
    ]);
  return { url, ask, told };
}

async function behindProxy(handle: Handler, options: Partial<AppOptions> = {}) {
  const archive: FaultServer = open.use(await startFaultServer(handle));
  const archiveRouter = archiveProxy(
    { url: archive.url, timeoutSeconds: 10, users: 'unknown', bulkDataKey: randomBytes(32) },
    login,
    archiveCredentials({ headers: {}, users: 'unknown', oauth: {} }),
  );
  return start({ archiveRouter, ...options });
}

const stow = (body: Buffer): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=b' },
  body: Buffer.concat([
    Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'),
    body,
    Buffer.from('\r\n--b--\r\n'),
  ]),
});

it('outlives an upload that is refused halfway, and records it', async () => {
  await using served = await serveArchive({ maxInstanceBytes: 1000 });
  const { url, told } = await start({
    archiveRouter: express.Router().use(archiveTarget, served.archive.router),
  });
  const client = connect(Number(new URL(url).port), '127.0.0.1');
  client.on('error', () => {});
  client.write(
    'POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\nContent-Length: 1000000\r\n' +
      'Content-Type: multipart/related; type="application/dicom"; boundary=XX\r\n\r\n' +
      '--XX\r\nContent-Type: application/dicom\r\n\r\n',
  );
  client.write(randomBytes(500_000));
  client.resume();
  await once(client, 'close');
  await expect.poll(told).toEqual([['instances-stored', 'alice', undefined, 'failure']]);
});

describe('reading from an archive without users of its own', () => {
  const answer: Handler = (request, response) => {
    response.writeHead(request.url!.includes('9.9') ? 404 : 200, {
      'Content-Type': 'application/dicom+json',
    });
    response.end('[]');
  };

  it('is recorded once per user and study', async () => {
    const { ask, told } = await behindProxy(answer);
    const frame = '/studies/1.2/series/1.3/instances/1.4/frames';
    for (let i = 1; i < 10; i++) expect(await ask('alice', `${frame}/${i}`)).toBe(200);
    await ask('alice', '/studies/1.2/metadata');
    await ask('bob', '/studies/1.2/metadata');
    await ask('alice', '/studies/1.5/metadata');
    expect(told()).toEqual([
      ['study-read', 'alice', '1.2', 'success'],
      ['study-read', 'bob', '1.2', 'success'],
      ['study-read', 'alice', '1.5', 'success'],
    ]);
  });

  it('is recorded for bulk data, whose URL does not name the study', async () => {
    const { url, ask, told } = await behindProxy((request, response) => {
      const json = [{ '00282000': { vr: 'OB', BulkDataURI: '/dicom-web/studies/1.2/bulk/1' } }];
      response.setHeader('Content-Type', 'application/dicom+json');
      response.end(request.url!.includes('/bulk/') ? 'bytes' : JSON.stringify(json));
    });
    const found = await fetch(`${url}/dicom-web/studies`, { headers: { authorization: 'Bearer alice' } });
    const address = /bulkdata\/[\w.-]+/.exec(await found.text())![0];
    expect(told()).toEqual([]);
    expect(await ask('alice', `/${address}`)).toBe(200);
    expect(told()).toEqual([['study-read', 'alice', '1.2', 'success']]);
  });

  it('is not recorded for searches over all studies, missing resources and refusals', async () => {
    const { ask, told } = await behindProxy(answer);
    expect(await ask('alice', '/studies?limit=1')).toBe(200);
    expect(await ask('alice', '/studies/9.9/metadata')).toBe(404);
    expect(await ask('alice', '/studies/1.2/nothing')).toBe(400);
    expect(await ask('-', '/studies/1.2/metadata')).toBe(401);
    expect(told().map(([event]) => event)).toEqual(['access-refused']);
  });

  it('is left to the archive if that has users', async () => {
    const { ask, told } = await behindProxy(answer, { archiveKnowsUsers: true });
    expect(await ask('alice', '/studies/1.2/metadata')).toBe(200);
    expect(told()).toEqual([]);
  });
});

describe('storing', () => {
  it('into a configured archive is recorded with every study that its answer names', async () => {
    const item = (study: string) => ({
      '00081190': { vr: 'UR', Value: [`http://archive/studies/${study}/series/1/instances/1`] },
    });
    const { ask, told } = await behindProxy(
      async (request, response) => {
        await bodyOf(request);
        response.writeHead(200, { 'Content-Type': 'application/dicom+json' });
        response.end(JSON.stringify({ '00081199': { vr: 'SQ', Value: ['1.2', '1.3', '1.2'].map(item) } }));
      },
      { archiveKnowsUsers: true },
    );
    expect(await ask('alice', '/studies', stow(Buffer.from('slides')))).toBe(200);
    expect(told()).toEqual([
      ['instances-stored', 'alice', '1.2', 'success'],
      ['instances-stored', 'alice', '1.3', 'success'],
    ]);
  });

  it('that failed is recorded too, with the study in its URL', async () => {
    const { ask, told } = await behindProxy((_request, response) => void response.writeHead(409).end());
    expect(await ask('alice', '/studies/1.2', stow(Buffer.from('slides')))).toBe(409);
    expect(told()).toEqual([['instances-stored', 'alice', '1.2', 'failure']]);
  });

  it('that the user aborted does not count as a success', async () => {
    const begun = Promise.withResolvers<void>();
    const { url, told } = await behindProxy((request) => {
      request.once('data', () => begun.resolve()).on('error', () => {});
    });
    const { hostname, port } = new URL(url);
    const request = httpRequest({
      hostname,
      port,
      method: 'POST',
      path: '/dicom-web/studies/1.2',
      headers: { authorization: 'Bearer alice', 'content-length': '1000' },
    });
    request.on('error', () => {}).write('half');
    await begun.promise;
    request.destroy();
    await expect.poll(told).toEqual([['instances-stored', 'alice', '1.2', 'failure']]);
  });

  it('is recorded although the user leaves as soon as everything is sent', async () => {
    const sent = Promise.withResolvers<void>();
    const left = Promise.withResolvers<void>();
    const { url, told } = await behindProxy(async (request, response) => {
      await bodyOf(request);
      sent.resolve();
      await left.promise;
      response.writeHead(200, { 'Content-Type': 'application/dicom+json' });
      const stored = { vr: 'UR', Value: ['http://archive/studies/1.2/series/1/instances/1'] };
      response.end(JSON.stringify({ '00081199': { vr: 'SQ', Value: [{ '00081190': stored }] } }));
    });
    const { hostname, port } = new URL(url);
    const headers = { authorization: 'Bearer alice', 'content-length': '6' };
    const request = httpRequest({ hostname, port, method: 'POST', path: '/dicom-web/studies', headers });
    request.on('error', () => {}).end('slides');
    await sent.promise;
    request.destroy();
    // The archive answers slowly, after the service has noticed that the user has left.
    setTimeout(left.resolve, 200);
    await expect.poll(told).toEqual([['instances-stored', 'alice', '1.2', 'success']]);
  });

  it('into the embedded archive, and reading from it', async () => {
    const slide = storableSlide('audited');
    const { archive } = open.use(await serveArchive());
    const { ask, told } = await start({ archiveRouter: express.Router().use(archiveTarget, archive.router) });
    expect(await ask('alice', '/studies', stow(slide.bytes))).toBe(200);
    expect(await ask('bob', `/studies/${slide.studyUid}/metadata`)).toBe(200);
    expect(told()).toEqual([
      ['instances-stored', 'alice', slide.studyUid, 'success'],
      ['study-read', 'bob', slide.studyUid, 'success'],
    ]);
  });
});

describe('the same rules apply in front of the embedded archive', () => {
  it('for targets, media types and OPTIONS', async () => {
    const slide = storableSlide('guarded');
    const { archive } = open.use(await serveArchive());
    const { url, ask } = await start({ archiveRouter: express.Router().use(archiveTarget, archive.router) });
    expect(await ask('alice', '/studies', stow(slide.bytes))).toBe(200);
    const metadata = `/studies/${slide.studyUid}/metadata`;
    for (const path of ['/studies?lookup=1', '/studies/', '/studies;a=b', `${metadata}?limit=1`])
      expect(await ask('alice', path)).toBe(400);
    expect(await ask('alice', '/studies?PatientName=*&limit=1&includefield=all')).toBe(200);
    const options = await fetch(`${url}/dicom-web/studies`, { method: 'OPTIONS' });
    expect(options.headers.get('allow')).toBe('GET, HEAD, OPTIONS, POST');
    // Its own bulk data are named by tags, under our origin.
    const headers = { authorization: 'Bearer alice' };
    const answer = await fetch(`${url}/dicom-web${metadata}`, { headers });
    const address = /"BulkDataURI":"([^"]+)"/.exec(await answer.text())?.[1];
    if (address) expect((await fetch(address, { headers })).status).toBe(200);
    const picture = `/studies/${slide.studyUid}/rendered?accept=text/html`;
    expect(await ask('alice', picture, { headers: { accept: 'image/jpeg' } })).toBe(406);
  });

  it('on raw sockets too', async () => {
    const { archive } = open.use(await serveArchive());
    const { url } = await start({ archiveRouter: express.Router().use(archiveTarget, archive.router) });
    const { hostname, port } = new URL(url);
    const request = httpRequest({
      hostname,
      port,
      path: '/dicom-web/studies',
      headers: { authorization: 'Bearer alice' },
    });
    // Node's client refuses such a path; other clients do not.
    request.path = '/dicom-web/studies#/../../system';
    request.end();
    const [response] = await once(request, 'response');
    expect(response.statusCode).toBe(400);
    response.resume();
  });
});
