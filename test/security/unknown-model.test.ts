/** A model that is not installed is the fault of the request, reported at once by every route that accepts one. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { repository } from '../support/peers.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';
import { makeWorkitem } from '../support/workitem.ts';

const open = new AsyncDisposableStack();
let service: ServiceProcess;
let reference: { studyInstanceUid: string; seriesInstanceUid: string };

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'stain-model-'));
  open.defer(() => rm(folder, { recursive: true, force: true }));
  await cp(join(repository, 'scripts/sample'), join(folder, 'archive'), { recursive: true });
  service = open.use(
    await startProcess('serve', {
      STAIN_ARCHIVE_FOLDER: join(folder, 'archive'),
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    }),
  );
  const [series] = (await (await fetch(`${service.url}/dicom-web/series?Modality=SM`)).json()) as any[];
  reference = {
    studyInstanceUid: series['0020000D'].Value[0],
    seriesInstanceUid: series['0020000E'].Value[0],
  };
});
afterAll(() => open.disposeAsync());

const workitem = () => makeWorkitem(reference, { TEMPLATE: 'he-magenta', MODEL: 'unknown' });
const post = (path: string, body: object, type = 'application/json') =>
  fetch(service.url + path, {
    method: 'POST',
    headers: { 'Content-Type': type },
    body: JSON.stringify(body),
  });
const wanted = () => ({ ...reference, template: 'he-magenta', model: 'unknown' });
const region = { x: 0, y: 0, width: 99, height: 99 };

it.each<[string, () => Promise<Response>]>([
  ['POST /api/normalizations', () => post('/api/normalizations', wanted())],
  ['POST /api/batches', () => post('/api/batches', { query: {}, template: 'he-magenta', model: 'unknown' })],
  ['POST /api/preview', () => post('/api/preview', { ...wanted(), region })],
  [
    'POST /api/templates',
    () => post('/api/templates', { ...reference, model: 'unknown', name: 'One', licence: 'CC0-1.0' }),
  ],
  ['POST /ups-rs/workitems', () => post('/ups-rs/workitems', [workitem()], 'application/dicom+json')],
  ['GET .../stain', () => fetch(`${seriesUrl()}/stain?model=unknown`)],
  ['GET .../colour-table', () => fetch(`${seriesUrl()}/colour-table?model=unknown`)],
  ['GET .../graphs', () => fetch(`${service.url}/api/models/unknown/graphs/apply`)],
])('attack: a missing model makes the service look broken (500). %s', async (_route, send) => {
  const response = await send();
  expect([response.status, await response.json()]).toEqual([
    404,
    expect.objectContaining({ code: 'MODEL_NOT_FOUND' }),
  ]);
});

it('no job and no batch is left behind', async () => {
  for (const [path, list] of [
    ['/api/normalizations', 'jobs'],
    ['/api/batches', 'batches'],
  ] as const)
    expect(((await (await fetch(service.url + path)).json()) as any)[list]).toEqual([]);
});

function seriesUrl(): string {
  return `${service.url}/api/studies/${reference.studyInstanceUid}/series/${reference.seriesInstanceUid}`;
}
