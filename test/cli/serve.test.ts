/** The service as a process: it normalises a slide of its archive over HTTP, and stops on SIGTERM. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Job, Model, Template } from '../../core/src/contract/index.ts';
import { repository } from '../support/peers.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

let folder: string;
let service: ChildProcess;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-serve-'));
  await mkdir(join(folder, 'archive'));
  await copyFile(join(repository, 'scripts/sample/level-3.dcm'), join(folder, 'archive/slide.dcm'));
  service = spawn(process.execPath, [join(repository, 'server/src/main.ts'), 'serve'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      STAIN_SERVER_PORT: '0',
      STAIN_DEVICE: 'cpu',
      STAIN_VIEWER_ENABLED: 'false',
      STAIN_ARCHIVE_FOLDER: join(folder, 'archive'),
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    },
  });
  url = await new Promise((resolve, reject) => {
    let told = '';
    service.once('exit', (code) => reject(new Error(`the service ended with ${code}: ${told}`)));
    service.stderr!.on('data', (chunk) => {
      told += chunk;
      const found = /service\s+(http:\S+)/.exec(told)?.[1];
      if (found) resolve(found);
    });
  });
});
afterAll(async () => {
  if (service.exitCode === null) service.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

async function getJson(path: string): Promise<never> {
  const response = await fetch(url + path, { headers: { accept: 'application/json' } });
  return (await response.json()) as never;
}

it('normalises a slide of its archive and shows the derived series in the same study', async () => {
  const [series] = (await getJson('/dicom-web/series?Modality=SM')) as Record<string, { Value: string[] }>[];
  const body = {
    studyInstanceUid: series!['0020000D']!.Value[0],
    seriesInstanceUid: series!['0020000E']!.Value[0],
    template: 'he-magenta',
  };
  const post = (changes: object = {}): Promise<Response> =>
    fetch(`${url}/api/normalizations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, ...changes }),
    });

  const refused = await post({ template: 'nowhere' });
  expect(refused.status).toBe(404);
  expect(await refused.json()).toMatchObject({ code: 'TEMPLATE_NOT_FOUND' });

  const accepted = await post();
  expect(accepted.status).toBe(202);
  const { id } = (await accepted.json()) as Job;
  const stages = new Set<string>();
  const events = await fetch(`${url}/api/normalizations/${id}/events`);
  let text = '';
  for await (const chunk of events.body!.pipeThrough(new TextDecoderStream())) text += chunk;
  for (const [, stage] of text.matchAll(/"stage":"(\w+)"/g)) stages.add(stage!);
  const job = (await getJson(`/api/normalizations/${id}`)) as Job;
  expect(job.error ?? null).toBeNull();
  expect(job.state).toBe('COMPLETED');
  expect(stages).toContain('normalize');

  const found = (await getJson(`/dicom-web/studies/${body.studyInstanceUid}/series`)) as Record<
    string,
    { Value: string[] }
  >[];
  const uids = found.map((item) => item['0020000E']!.Value[0]);
  expect(uids).toContain(body.seriesInstanceUid);
  expect(uids).toContain(job.result!.seriesInstanceUid);
  expect(await readdir(join(folder, 'spool'))).toEqual([]);
});

it('is ready and reports its device and model', async () => {
  expect(await getJson('/ready')).toMatchObject({ status: 'ok' });
  expect(await getJson('/api/device')).toMatchObject({
    executionProvider: 'CPUExecutionProvider',
    proof: null,
  });
  expect(await getJson('/api/models')).toMatchObject({ models: [{ name: 'reference' }, { name: 'fast' }] });
});

it('returns the stain that a job would fit, and the graphs that it would run', async () => {
  const [job] = ((await getJson('/api/normalizations')) as { jobs: Job[] }).jobs;
  const { studyInstanceUid, seriesInstanceUid } = job!.request;
  const path = `/api/studies/${studyInstanceUid}/series/${seriesInstanceUid}/stain`;
  const [stain, again] = await Promise.all([getJson(path), getJson(path)]);
  expect(stain).toMatchObject({ classes: job!.result!.fit.classes, colourTable: null, nativeColours: null });
  expect(again).toEqual(stain);
  expect(await getJson(path.replace(seriesInstanceUid, '1.2.3'))).toMatchObject({ code: 'SERIES_NOT_FOUND' });

  const { models } = (await getJson('/api/models')) as { models: Model[] };
  const { url: address, sha256, bytes } = models[0]!.graphs.apply;
  const graph = Buffer.from(await (await fetch(url + address)).arrayBuffer());
  expect(graph.byteLength).toBe(bytes);
  expect(createHash('sha256').update(graph).digest('hex')).toBe(sha256);
  expect((await fetch(`${url}${address.replace(sha256, '0'.repeat(64))}`)).status).toBe(404);
});

it('returns what uncompressed frames contain if their header cannot be right', async () => {
  const slide = tissueSlide('in doubt', { photometricInterpretation: 'YBR_FULL_422' });
  const [head, tail] = ['--part\r\nContent-Type: application/dicom\r\n\r\n', '\r\n--part--'];
  const stored = await fetch(`${url}/dicom-web/studies`, {
    method: 'POST',
    headers: { 'Content-Type': 'multipart/related; type="application/dicom"; boundary=part' },
    body: Buffer.concat([Buffer.from(head), slide.bytes, Buffer.from(tail)]),
  });
  expect(stored.status).toBe(200);
  const path = `/api/studies/${slide.studyUid}/series/${slide.seriesUid}/stain?model=fast`;
  expect(await getJson(path)).toMatchObject({ nativeColours: 'RGB' });
});

it('makes a template from a region, keeps it apart from others of the same name, and removes it', async () => {
  const [job] = ((await getJson('/api/normalizations')) as { jobs: Job[] }).jobs;
  const { studyInstanceUid, seriesInstanceUid } = job!.request;
  const make = (changes: object = {}): Promise<Response> =>
    fetch(`${url}/api/templates`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'Our Lab', studyInstanceUid, seriesInstanceUid, ...changes }),
    });
  const region = { x: 60, y: 40, width: 120, height: 160 };
  const [whole, part] = [await make(), await make({ region })];
  expect([whole.status, part.status]).toEqual([201, 201]);
  const [first, second] = [(await whole.json()) as Template, (await part.json()) as Template];
  expect([first.id, second.id]).toEqual(['our-lab', 'our-lab-2']);
  expect(second.own).toBe(true);
  expect(second.provenance.source).toBe('a region of a series of this archive');
  expect(await getJson(`/api/templates/${second.id}`)).toMatchObject({
    source: { seriesInstanceUid, region },
  });
  expect(second.classes).not.toEqual(first.classes);
  expect((await make({ id: 'our-lab' })).status).toBe(409);
  expect((await make({ region: { ...region, width: 5000 } })).status).toBe(400);

  const remove = async (id: string): Promise<number> =>
    (await fetch(`${url}/api/templates/${id}`, { method: 'DELETE' })).status;
  expect(await remove('our-lab-2')).toBe(204);
  expect(await remove('our-lab-2')).toBe(404);
  expect(await remove('he-magenta')).toBe(409);
  expect(await remove('..%2f..%2fpackage')).toBe(400);
});

it('stops on SIGTERM', async () => {
  service.kill('SIGTERM');
  const [code] = await once(service, 'exit');
  expect(code).toBe(0);
});

it('says at its start that it cannot normalise, and why', async () => {
  const without = spawn(process.execPath, [join(repository, 'server/src/main.ts'), 'serve'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      STAIN_SERVER_PORT: '0',
      STAIN_VIEWER_ENABLED: 'false',
      STAIN_MODELS_DIRECTORY: join(folder, 'no models'),
      STAIN_ARCHIVE_FOLDER: join(folder, 'archive'),
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_DATABASE_DIRECTORY: join(folder, 'another database'),
    },
  });
  let told = '';
  without.stderr.on('data', (chunk) => {
    told += chunk;
  });
  await expect.poll(() => told).toMatch(/network +cannot be used, .*no models/);
  without.kill('SIGKILL');
  await once(without, 'close');
});
