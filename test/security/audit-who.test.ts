/** Every refusal is in the audit trail: for every route of openapi.json, and for the archive. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobs } from '../jobs/support.ts';
import { AUDIENCE, type Issuer, soon, startIssuer } from '../support/issuer.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const STUDY = '1.2.840.1';
const SERIES = '1.2.840.1.1';
const ID = '0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f10';
const PARAMETERS: Record<string, string> = {
  study: STUDY,
  series: SERIES,
  uid: STUDY,
  id: ID,
  name: 'fast',
  graph: 'apply',
};

const open = new AsyncDisposableStack();
const audit: AuditEntry[] = [];
let issuer: Issuer;
let jobs: JobService;
let service: TestApp;
/** Method, path with parameters, pattern. */
let routes: [string, string, string][];

beforeAll(async () => {
  issuer = open.use(await startIssuer(['alice']));
  const env = {
    STAIN_OIDC_ISSUER: issuer.url,
    STAIN_OIDC_AUDIENCE: AUDIENCE,
    STAIN_LIMITS_REQUESTS_PER_SECOND: '1000',
  };
  const config = loadConfig({ env });
  jobs = await openJobs({ concurrency: 0 });
  open.defer(() => jobs.close());
  const { Router } = await import('express');
  service = open.use(
    await startApp(jobs, {
      config,
      login: openLogin(config),
      audit: { record: (entry) => void audit.push(entry) },
      archiveRouter: Router().use((_request, response) => void response.json([])),
    }),
  );
  const { paths } = (await (await fetch(`${service.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((name) => ['get', 'post', 'put', 'delete'].includes(name))
      .map((method): [string, string, string] => [
        method.toUpperCase(),
        path.replace(/\{(\w+)\}/g, (_, name: string) => PARAMETERS[name]!),
        path.replace(/\{(\w+)\}/g, ':$1'),
      ]),
  );
  routes.push(['GET', `/dicom-web/studies/${STUDY}/series/${SERIES}/metadata`, '/dicom-web']);
  routes.push(['POST', `/dicom-web/studies/${STUDY}`, '/dicom-web']);
});
afterAll(() => open.disposeAsync());
beforeEach(() => {
  audit.length = 0;
});

async function send(method: string, path: string, token?: string, body?: object): Promise<number> {
  const response = await fetch(service.url + path, {
    method,
    headers: {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body && { 'Content-Type': 'application/json' }),
    },
    ...(body && { body: JSON.stringify(body) }),
  });
  await response.arrayBuffer();
  return response.status;
}
/** What is recorded for a request refused with this status; undefined if nothing is. */
async function recordOf(
  status: number,
  ...request: Parameters<typeof send>
): Promise<AuditEntry | undefined> {
  audit.length = 0;
  if ((await send(...request)) !== status) return undefined;
  await expect.poll(() => audit.length).toBe(1);
  return audit[0];
}

it('attack: a valid token without scopes tries every route. Each attempt is recorded, with the name', async () => {
  const token = await issuer.forge({ scope: 'openid' });
  let doors = 0;
  for (const [method, path, route] of routes) {
    const entry = await recordOf(403, method, path, token);
    if (!entry) continue;
    doors++;
    expect(entry).toMatchObject({
      event: 'access-refused',
      outcome: 'failure',
      code: 'FORBIDDEN',
      principal: `${issuer.url}#alice`,
      address: '127.0.0.1',
      method,
      route,
      ...(path.includes(STUDY) &&
        path.includes('/series/') && { studyInstanceUid: STUDY, seriesInstanceUid: SERIES }),
      ...(path.includes('/dicom-web/') && { studyInstanceUid: STUDY }),
      ...(path.includes('/workitems/') && { workitemUid: STUDY }),
      ...(path.includes('/normalizations/') && { jobId: ID }),
      ...(path.includes('/batches/') && { batchId: ID }),
      ...(path.includes('/templates/') && { template: ID }),
    });
  }
  // All except those that are open to everybody.
  expect(doors).toBeGreaterThanOrEqual(routes.length - 5);
});

it('attack: addresses in unusual spelling. The requested resource is recorded nevertheless', async () => {
  const token = await issuer.forge({ scope: 'openid' });
  const encoded = (text: string) => `%${text.charCodeAt(0).toString(16)}${text.slice(1)}`;
  for (const [path, expected] of [
    [`/API/Normalizations/${encoded(ID)}`, { jobId: ID }],
    [`/api/batches/${encoded(ID)}`, { batchId: ID }],
    [`/api/TEMPLATES/${encoded('one')}`, { template: 'one' }],
    [`/UPS-RS/workitems/${encoded(STUDY)}`, { workitemUid: STUDY }],
    [`/Dicom-Web/studies/${encoded(STUDY)}/metadata`, { studyInstanceUid: STUDY }],
  ] as const)
    expect(await recordOf(403, 'GET', path, token)).toMatchObject(expected);
});

describe('attack: invalid tokens with a name in them', () => {
  it.each<[string, () => Promise<string> | undefined]>([
    ['none', () => undefined],
    ['one that has expired', () => issuer.forge({ exp: soon() - 7200, sub: 'mallory' })],
    ['one for another audience', () => issuer.forge({ aud: 'https://other.example', sub: 'mallory' })],
    ['an ID token', () => issuer.forge({ at_hash: 'x', sub: 'mallory' })],
  ])('%s: address and route are recorded, and nothing that the token says', async (_what, make) => {
    const token = await make();
    for (const [method, path, route] of routes) {
      const entry = await recordOf(401, method, path, token);
      if (!entry) continue;
      expect(entry).toMatchObject({
        event: 'access-refused',
        code: 'UNAUTHENTICATED',
        address: '127.0.0.1',
        method,
        route,
      });
      expect(entry.principal).toBeUndefined();
      expect(JSON.stringify(entry)).not.toContain('mallory');
    }
  });
});

it('attack: patient names in addresses and bodies, which must not reach the trail', async () => {
  const token = await issuer.forge({ scope: 'openid' });
  const name = 'Quidditch^Zo';
  for (const [method, path] of [
    ['GET', `/api/normalizations/${name}`],
    ['GET', `/api/templates/${encodeURIComponent(name)}`],
    ['GET', `/dicom-web/studies/${name}/series/${name}`],
    ['GET', `/ups-rs/workitems/${name}?PatientName=${name}`],
  ] as const) {
    await recordOf(403, method, path, token);
    await recordOf(401, method, path);
    expect(JSON.stringify(audit)).not.toContain('Quidditch');
  }
  const body = { studyInstanceUid: name, seriesInstanceUid: name, template: name, patient: name };
  await recordOf(403, 'POST', '/api/normalizations', token, body);
  await recordOf(401, 'POST', '/api/normalizations', undefined, body);
  expect(JSON.stringify(audit)).not.toContain('Quidditch');
});
