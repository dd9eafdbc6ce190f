/**
 * Several archives over TLS with a private CA and client certificates: a read-only Orthanc with a user and a password
 * as the source, tiny_pacs with a token as the destination, and the embedded archive as the default one.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Batch, type Health, isFinal, type Job } from '../../core/src/contract/index.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { type Authority, makeAuthority } from '../support/certificate.ts';
import { installedOrthanc, orthancMissing, startOrthanc } from '../support/orthanc.ts';
import { repository } from '../support/peers.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';
import { storeFiles } from '../support/store-files.ts';
import { startTinyPacs, tinyPacs } from '../support/tiny-pacs.ts';
import { requireCertificate, type TlsFront } from '../support/tls-front.ts';

const SLIDE = join(repository, 'scripts/sample/level-3.dcm');
const [PASSWORD, TOKEN] = ['p4ss-of-the-vendor', 't0ken-of-research'];
const AUTHORIZATION = `Basic ${Buffer.from(`stain:${PASSWORD}`).toString('base64')}`;
const signal = AbortSignal.timeout(600_000);
const missing = orthancMissing ?? (tinyPacs.missing ? tinyPacs.note.trim() : undefined);

describe.skipIf(missing)(`several archives${missing ? ` (skipped: ${missing})` : ''}`, () => {
  const open = new AsyncDisposableStack();
  let folder: string;
  let ca: Authority;
  let fronts: { vendor: TlsFront; research: TlsFront };
  let clients: { vendor: DicomWebClient; research: DicomWebClient };
  let environment: Record<string, string>;
  let service: ServiceProcess;
  let slide: { studyInstanceUid: string; seriesInstanceUid: string };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'stain-several-archives-'));
    open.defer(() => rm(folder, { recursive: true, force: true }));
    ca = open.use(await makeAuthority());
    const vendor = open.use(
      await startOrthanc(
        installedOrthanc,
        {},
        { AuthenticationEnabled: true, RegisteredUsers: { stain: PASSWORD } },
      ),
    );
    const research = open.use(await startTinyPacs(TOKEN));
    const portOf = ({ url }: { url: string }): number => Number(new URL(url).port);
    fronts = {
      vendor: open.use(await requireCertificate(ca, portOf(vendor))),
      research: open.use(await requireCertificate(ca, portOf(research))),
    };
    clients = {
      vendor: createDicomWebClient({ url: vendor.url, headers: { Authorization: AUTHORIZATION } }),
      research: createDicomWebClient({ url: research.url, headers: { Authorization: `Bearer ${TOKEN}` } }),
    };
    for (const client of Object.values(clients)) open.defer(() => client.close());
    const stow = await storeFiles(vendor.url, [SLIDE], { Authorization: AUTHORIZATION });
    expect(stow.ok).toBe(true);
    const [found] = await clients.vendor.searchSeries({ Modality: 'SM' }, signal);
    slide = {
      studyInstanceUid: textOf(found!, '0020000D')!,
      seriesInstanceUid: textOf(found!, '0020000E')!,
    };
    const { certFile, keyFile } = ca.issue('stain');
    const tls = { caFile: ca.caFile, certFile, keyFile };
    const passwordFile = join(folder, 'password');
    await writeFile(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
    const configuration = {
      archives: {
        vendor: {
          url: `https://localhost:${fronts.vendor.port}/dicom-web`,
          isReadOnly: true,
          basic: { user: 'stain', password: { file: passwordFile } },
          tls,
        },
        research: {
          url: `https://localhost:${fronts.research.port}/dicomweb`,
          bearer: { env: 'RESEARCH_TOKEN' },
          tls,
        },
      },
    };
    await writeFile(join(folder, 'config.json'), JSON.stringify(configuration));
    environment = {
      STAIN_CONFIG: join(folder, 'config.json'),
      RESEARCH_TOKEN: TOKEN,
      STAIN_ARCHIVE_FOLDER: join(folder, 'archive'),
      STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
      STAIN_AUDIT_FILE: join(folder, 'audit'),
    };
    service = open.use(await startProcess('serve', environment));
  });
  afterAll(() => open.disposeAsync());

  const get = (path: string): Promise<Response> => fetch(`${service.url}${path}`);
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${service.url}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  const request = (names: object) =>
    post('/api/normalizations', { ...slide, template: 'he-magenta', ...names });

  async function ended(id: string): Promise<Job> {
    const now = async () => (await (await get(`/api/normalizations/${id}`)).json()) as Job;
    await expect.poll(async () => isFinal((await now()).state), { timeout: 120_000 }).toBe(true);
    return now();
  }

  async function normalized(names: object): Promise<string> {
    const asked = await request(names);
    expect(asked.status).toBe(202);
    const job = await ended(((await asked.json()) as Job).id);
    expect(job).toMatchObject({ state: 'COMPLETED', error: null });
    return job.result!.seriesInstanceUid;
  }

  const seriesIn = async (client: DicomWebClient): Promise<unknown[]> => {
    const found = await client.searchSeries({ StudyInstanceUID: slide.studyInstanceUid }, signal);
    return found.map((json) => textOf(json, '0020000E'));
  };

  const inResearch = { source: 'vendor', destination: 'research' };
  let first: string;

  it('reads in one and stores in another, by name', async () => {
    first = await normalized(inResearch);
    expect(await seriesIn(clients.research)).toEqual([first]);
    expect(await seriesIn(clients.vendor)).toEqual([slide.seriesInstanceUid]);
    expect([...fronts.vendor.clients, ...fronts.research.clients]).toEqual(['stain', 'stain']);
  });

  it('finds the result where it was stored: by a repeated request and from the command line', async () => {
    const again = await request(inResearch);
    expect(again.status).toBe(200);
    expect((await again.json()) as Job).toMatchObject({
      result: { seriesInstanceUid: first },
      request: inResearch,
    });
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        join(repository, 'server/src/main.ts'),
        '--json',
        'normalize',
        'vendor',
        'research',
        '--template',
        'he-magenta',
      ],
      { env: { ...process.env, ...environment, STAIN_DEVICE: 'cpu' } },
    );
    expect(JSON.parse(stdout)).toMatchObject({ existing: true, seriesInstanceUid: first });
  });

  it('keeps the results of two archives apart', async () => {
    const other = await normalized({ source: 'vendor' });
    expect(other).not.toBe(first);
    const shown = await get(`/dicom-web/studies/${slide.studyInstanceUid}/series`);
    expect(((await shown.json()) as object[]).map((json) => textOf(json as never, '0020000E'))).toEqual([
      other,
    ]);
    expect(await seriesIn(clients.research)).toEqual([first]);
    expect(await seriesIn(clients.vendor)).toEqual([slide.seriesInstanceUid]);
  });

  it.each([
    [{ source: 'vendor', destination: 'vendor' }, 403, 'ARCHIVE_READ_ONLY'],
    [{ source: 'attic' }, 404, 'ARCHIVE_NOT_FOUND'],
    [{ source: 'vendor', destination: 'attic' }, 404, 'ARCHIVE_NOT_FOUND'],
    // The default archive does not hold it.
    [{ destination: 'research' }, 404, 'SERIES_NOT_FOUND'],
  ])('refuses %j', async (names, status, code) => {
    const refused = await request(names);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([status, code]);
  });

  it('normalises many of one archive into another', async () => {
    const asked = await post('/api/batches', {
      studies: [slide.studyInstanceUid],
      template: 'he-pink-violet',
      ...inResearch,
    });
    expect(asked.status).toBe(202);
    const { id } = (await asked.json()) as Batch;
    const now = async () => (await (await get(`/api/batches/${id}`)).json()) as Batch;
    await expect.poll(async () => (await now()).counts, { timeout: 120_000 }).toEqual({ COMPLETED: 1 });
    expect(await now()).toMatchObject(inResearch);
    expect(await seriesIn(clients.research)).toHaveLength(2);
    const refused = await post('/api/batches', { query: {}, template: 'he-magenta', destination: 'vendor' });
    expect(((await refused.json()) as { code: string }).code).toBe('ARCHIVE_READ_ONLY');
  });

  it('shows each at this host, and stores nothing in one that is read-only', async () => {
    expect(await (await get('/api/archives')).json()).toEqual({
      archives: [
        { name: 'default', isReadOnly: false, dicomWeb: '/dicom-web' },
        { name: 'vendor', isReadOnly: true, dicomWeb: '/archives/vendor/dicom-web' },
        { name: 'research', isReadOnly: false, dicomWeb: '/archives/research/dicom-web' },
      ],
    });
    for (const [name, count] of [
      ['vendor', 1],
      ['research', 2],
    ]) {
      const shown = await get(`/archives/${name}/dicom-web/studies/${slide.studyInstanceUid}/series`);
      expect(await shown.json()).toHaveLength(count as number);
    }
    const stow = await storeFiles(`${service.url}/archives/vendor/dicom-web`, [SLIDE]);
    expect([stow.status, ((await stow.json()) as { code: string }).code]).toEqual([403, 'ARCHIVE_READ_ONLY']);
    expect((await get('/archives/attic/dicom-web/studies')).status).toBe(404);
    const { checks } = (await (await get('/ready')).json()) as Health;
    expect(checks).toEqual(
      expect.arrayContaining([
        { name: 'archive', ok: true },
        { name: 'archive vendor', ok: true, isOptional: true },
        { name: 'archive research', ok: true, isOptional: true },
      ]),
    );
  });

  it('reads stains and normalised slides where they are', async () => {
    const { studyInstanceUid: study, seriesInstanceUid: series } = slide;
    const stain = `/api/studies/${study}/series/${series}/stain`;
    expect((await get(`${stain}?source=vendor`)).status).toBe(200);
    expect((await get(stain)).status).toBe(404);
    const listed = await get(`/archives/vendor/normalized/he-magenta/dicom-web/studies/${study}/series`);
    const [computed, ...others] = (await listed.json()) as never[];
    expect(others).toEqual([]);
    // What it computes is what a job from there to the default archive has stored.
    const shown = (await (await get(`/dicom-web/studies/${study}/series`)).json()) as never[];
    const uid = textOf(computed!, '0020000E');
    expect(shown.map((json) => textOf(json, '0020000E'))).toEqual([uid]);
    const path = `normalized/he-magenta/dicom-web/studies/${study}/series/${uid}/metadata`;
    expect((await get(`/archives/vendor/${path}`)).status).toBe(200);
    expect((await get(`/${path}`)).status).toBe(404);
  });

  it('names archives in the audit trail and the metrics, and secrets nowhere', async () => {
    const trail = await readFile(join(folder, 'audit'), 'utf8');
    const metrics = await (await get('/metrics')).text();
    expect(trail).toContain('"value":"research"');
    expect(metrics).toMatch(
      /stain_archive_request_seconds_count\{archive="research",method="POST",outcome="200"\}/,
    );
    for (const text of [trail, metrics, await (await get('/openapi.json')).text()])
      for (const secret of [PASSWORD, TOKEN, AUTHORIZATION]) expect(text).not.toContain(secret);
  });
});
