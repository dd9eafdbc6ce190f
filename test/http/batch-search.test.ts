/** The search behind POST /api/batches: bounded, each series once, without results of this product. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Batch, BatchReport } from '../../core/src/contract/index.ts';
import { loadConfig } from '../../server/src/config.ts';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import type { SearchParameters } from '../../server/src/dicomweb/client.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobs, SteeredWork } from '../jobs/support.ts';
import { type FaultServer, startFaultServer } from '../support/fault-server.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const PAGE = 10;
const MAX_SERIES = 25;

let archive: FaultServer;
let client: DicomWebClient;
let jobs: JobService;
let app: TestApp;
let seriesOf: (offset: number, study: string | null) => DicomJson[];

const series = (uid: string, more: DicomJson = {}): DicomJson => ({
  '0020000D': { vr: 'UI', Value: ['1.2'] },
  '0020000E': { vr: 'UI', Value: [uid] },
  ...more,
});

beforeAll(async () => {
  archive = await startFaultServer(({ url }, response) => {
    const { pathname, searchParams } = new URL(url!, 'http://archive');
    const offset = Number(searchParams.get('offset'));
    const study = /studies\/([\d.]+)\/series/.exec(pathname)?.[1] ?? searchParams.get('StudyInstanceUID');
    response
      .writeHead(200, { 'content-type': 'application/dicom+json' })
      .end(JSON.stringify(seriesOf(offset, study)));
  });
  client = createDicomWebClient({ url: archive.url, pageSize: PAGE });
  jobs = await openJobs({ run: new SteeredWork().run });
  app = await startApp(jobs, {
    config: loadConfig({ env: { STAIN_LIMITS_SERIES_PER_BATCH: String(MAX_SERIES) } }),
    searchSeries: (_principal, query, signal, max) =>
      client.searchSeries(query as SearchParameters, signal, max),
  });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await jobs.close();
  await client.close();
  await archive[Symbol.asyncDispose]();
});
beforeEach(() => {
  (archive.requests as string[]).length = 0;
});

const ask = (wanted: object = { query: {} }): Promise<Response> =>
  fetch(`${app.url}/api/batches`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...wanted, template: 'one' }),
  });

it('attack: an archive that never runs out of series; no more pages are requested than a batch may have', async () => {
  seriesOf = (offset) => Array.from({ length: PAGE }, (_, i) => series(`1.3.${offset + i}`));
  const answer = await ask();
  expect(answer.status).toBe(413);
  expect(await answer.json()).toMatchObject({ code: 'BATCH_TOO_LARGE', data: { limit: MAX_SERIES } });
  expect(archive.requests).toHaveLength(Math.ceil((MAX_SERIES + 1) / PAGE));
});

it('attack: the same series twice, among results of ours; each once, and no job for ours', async () => {
  const ours = {
    '00080070': { vr: 'LO', Value: ['Stain normalization for OHIF and DICOMweb'] },
    '00081090': { vr: 'LO', Value: ['stain-normalization'] },
  };
  seriesOf = () => [series('1.4.1'), series('1.4.1'), series('1.4.2', ours), series('1.4.3')];
  const { id, counts } = (await (await ask()).json()) as Batch;
  expect(counts['SKIPPED']).toBe(1);
  const report = (await (await fetch(`${app.url}/api/batches/${id}`)).json()) as BatchReport;
  expect(report.series.map(({ seriesInstanceUid }) => seriesInstanceUid)).toEqual([
    '1.4.1',
    '1.4.2',
    '1.4.3',
  ]);
  expect(report.series[1]).toMatchObject({ state: 'SKIPPED', code: 'ALREADY_NORMALIZED', job: null });
});

const inStudy = (study: string, ...uids: string[]): DicomJson[] =>
  uids.map((uid) => series(uid, { '0020000D': { vr: 'UI', Value: [study] } }));

it('finds the slides of the studies that are listed, each study once, and of no other', async () => {
  seriesOf = (offset, study) =>
    offset > 0 || study === null ? [] : inStudy(study, `${study}.1`, `${study}.2`);
  const answer = await ask({ studies: ['1.5', '1.6', '1.5'] });
  expect(answer.status).toBe(202);
  const { id } = (await answer.json()) as Batch;
  const report = (await (await fetch(`${app.url}/api/batches/${id}`)).json()) as BatchReport;
  expect(report.series.map(({ seriesInstanceUid }) => seriesInstanceUid)).toEqual([
    '1.5.1',
    '1.5.2',
    '1.6.1',
    '1.6.2',
  ]);
  expect(archive.requests).toHaveLength(2);
});

it('attack: studies that the archive does not show this user; they are as if they were not there', async () => {
  seriesOf = () => [];
  const answer = await ask({ studies: ['1.5', '1.6'] });
  expect(answer.status).toBe(404);
  expect(await answer.json()).toMatchObject({ code: 'SERIES_NOT_FOUND' });
});

it('attack: studies that together have more slides than a batch may; the rest is not searched for', async () => {
  seriesOf = (offset, study) =>
    offset > 0 ? [] : inStudy(study!, ...Array.from({ length: PAGE - 1 }, (_, i) => `${study}.${i + 1}`));
  const answer = await ask({ studies: Array.from({ length: 40 }, (_, i) => `1.7.${i + 1}`) });
  expect(answer.status).toBe(413);
  expect(archive.requests.length).toBeLessThan(10);
});

it.each([
  [{}],
  [{ query: {}, studies: ['1.5'] }],
  [{ studies: [] }],
  [{ studies: ['../1.5'] }],
  [{ studies: Array.from({ length: 101 }, (_, i) => `1.5.${i}`) }],
])('attack: %j; nothing is searched for', async (wanted) => {
  const answer = await ask(wanted);
  expect(await answer.json()).toMatchObject({ code: 'REQUEST_INVALID' });
  expect(archive.requests).toHaveLength(0);
});
