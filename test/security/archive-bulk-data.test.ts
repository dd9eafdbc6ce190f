/** Bulk data of a real Orthanc: under our origin, in a real browser, and for nobody else. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer, request as forward } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIENCE, type Issuer, startIssuer } from '../support/issuer.ts';
import { orthancMissing, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';
import { browserMissing, launchBrowser, openPage, startService } from '../support/viewer.ts';

const samples = join(repository, 'scripts/sample');

/** Orthanc with the sample slide, and the path of the slide below the root. */
async function orthancWithSlide(): Promise<{ orthanc: RunningOrthanc; series: string; study: string }> {
  const orthanc = await startOrthanc();
  for (const name of (await readdir(samples)).filter((file) => file.endsWith('.dcm')))
    await fetch(orthanc.url.replace('/dicom-web', '/instances'), {
      method: 'POST',
      body: await readFile(join(samples, name)),
    });
  const answer = await fetch(`${orthanc.url}/series`, { headers: { accept: 'application/dicom+json' } });
  const [found] = (await answer.json()) as Record<string, { Value: [string] }>[];
  const study = found!['0020000D']!.Value[0];
  return { orthanc, study, series: `/studies/${study}/series/${found!['0020000E']!.Value[0]}` };
}

/** An archive that names its own address in its responses, as archives without support for Forwarded (RFC 7239) do. */
async function startElsewhere(orthanc: RunningOrthanc): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    const { forwarded: _, ...headers } = request.headers;
    const onward = forward(new URL(request.url!, orthanc.url), { method: request.method, headers });
    onward.on('response', (answer) => {
      response.writeHead(answer.statusCode!, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicom-web`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const browserNote = browserMissing ?? orthancMissing;
it.skipIf(browserNote)(
  `OHIF loads the ICC profile of an archive elsewhere, although its policy names no other origin${browserNote ? ` (skipped: ${browserNote})` : ''}`,
  async () => {
    const { orthanc, study } = await orthancWithSlide();
    await using _orthanc = orthanc;
    await using elsewhere = await startElsewhere(orthanc);
    await using service = await startService({ STAIN_DICOMWEB_URL: elsewhere.url });
    const browser = await launchBrowser();
    try {
      await using open = await openPage(browser);
      const { page, faults } = open;
      const asked: string[] = [];
      page.on('request', (request) => asked.push(new URL(request.url()).origin));
      const profile = page.waitForResponse((response) => response.url().includes('/dicom-web/bulkdata/'), {
        timeout: 120_000,
      });
      await page.goto(`${service.url}stain?StudyInstanceUIDs=${study}`);
      const answer = await profile;
      expect(answer.status()).toBe(200);
      // "acsp", the signature of every ICC profile (ISO 15076-1 7.2).
      expect((await answer.body()).includes('acsp')).toBe(true);
      expect(faults.filter((fault) => fault.includes('Content Security'))).toEqual([]);
      expect(asked.filter((origin) => origin === new URL(elsewhere.url).origin)).toEqual([]);
    } finally {
      await browser.close();
    }
  },
);

const note = orthancMissing ?? postgresMissing;
describe.skipIf(note)(`tokens of bulk data${note ? ` (skipped: ${note})` : ''}`, () => {
  const open = new AsyncDisposableStack();
  let issuer: Issuer;
  let orthanc: RunningOrthanc;
  let postgres: RunningPostgres;
  let series: string;
  const services: ServiceProcess[] = [];
  const tokens: Record<string, string> = {};

  beforeAll(async () => {
    issuer = open.use(await startIssuer(['alice', 'bob']));
    ({ orthanc, series } = await orthancWithSlide());
    open.use(orthanc);
    postgres = open.use(await startPostgres());
    const folder = await mkdtemp(join(tmpdir(), 'stain-bulk-data-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    const start = () =>
      startProcess('serve', {
        STAIN_OIDC_ISSUER: issuer.url,
        STAIN_OIDC_AUDIENCE: AUDIENCE,
        STAIN_DICOMWEB_URL: orthanc.url,
        STAIN_DICOMWEB_USERS: 'unknown',
        STAIN_DATABASE_URL: postgres.url,
        STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
        STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
      });
    // Both at once: each tries to create the secret.
    for (const service of await Promise.all([start(), start()])) services.push(open.use(service));
    for (const user of ['alice', 'bob']) tokens[user] = await issuer.token(user);
  });
  afterAll(() => open.disposeAsync());

  const get = (url: string, user: string | undefined) =>
    fetch(url, { headers: user ? { authorization: `Bearer ${tokens[user]}` } : {} });

  async function addressFor(user: string): Promise<URL> {
    const answer = await get(`${services[0]!.url}/dicom-web${series}/metadata`, user);
    expect(answer.status).toBe(200);
    const address = /"BulkDataURI"\s*:\s*"([^"]*)"/.exec(await answer.text())?.[1];
    expect(address).toMatch(new RegExp(`^${services[0]!.url}/dicom-web/bulkdata/`));
    return new URL(address!);
  }

  it('open at every process of the service, for the user they were issued to', async () => {
    const { pathname } = await addressFor('alice');
    for (const { url } of services) {
      const answer = await get(url + pathname, 'alice');
      expect(answer.status).toBe(200);
      expect((await buffer(answer.body!)).includes('acsp')).toBe(true);
    }
  });

  it('open nothing for another user, without a login, or with another payload', async () => {
    const address = await addressFor('alice');
    expect((await get(address.href, 'bob')).status).toBe(404);
    expect((await get(address.href, undefined)).status).toBe(401);
    const [, signature] = address.href.split('.').slice(-2);
    const payload = Buffer.from(JSON.stringify([series.split('/')[2], 'studies'])).toString('base64url');
    const forged = `${services[0]!.url}/dicom-web/bulkdata/${payload}.${signature}`;
    expect((await get(forged, 'alice')).status).toBe(404);
  });
});
