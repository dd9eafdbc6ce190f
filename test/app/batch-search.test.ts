/** The search behind POST /api/batches: bounded, each series once, results of this product left out. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../../server/src/config.ts';
import type { Batch, BatchReport } from '../../server/src/contract/index.ts';
import type { SearchParameters } from '../../server/src/dicomweb/client.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import type { DicomJson } from '../../server/src/dicomweb/dicom-json.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobs, SteeredWork } from '../jobs/support.ts';
import { type FaultServer, startFaultServer } from '../support/fault-server.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const PAGE = 10;
const MOST = 25;

let archive: FaultServer;
let client: DicomWebClient;
let jobs: JobService;
let app: TestApp;
let seriesOf: (offset: number) => DicomJson[];

const series = (uid: string, more: DicomJson = {}): DicomJson => ({
  '0020000D': { vr: 'UI', Value: ['1.2'] },
  '0020000E': { vr: 'UI', Value: [uid] },
  ...more,
});

beforeAll(async () => {
  archive = await startFaultServer(({ url }, response) => {
    const offset = Number(new URL(url!, 'http://archive').searchParams.get('offset'));
    response
      .writeHead(200, { 'content-type': 'application/dicom+json' })
      .end(JSON.stringify(seriesOf(offset)));
  });
  client = createDicomWebClient({ url: archive.url, pageSize: PAGE });
  jobs = await openJobs({ run: new SteeredWork().run });
  app = await startApp(jobs, {
    config: loadConfig({ env: { STAIN_LIMITS_SERIES_PER_BATCH: String(MOST) } }),
    searchSeries: (_principal, query, signal, most) =>
      client.searchSeries(query as SearchParameters, signal, most),
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

const ask = (): Promise<Response> =>
  fetch(`${app.url}/api/batches`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ query: {}, template: 'one' }),
  });

it('attack: an archive that finds new series for ever; no more pages are asked for than a batch may have', async () => {
  seriesOf = (offset) => Array.from({ length: PAGE }, (_, i) => series(`1.3.${offset + i}`));
  const answer = await ask();
  expect(answer.status).toBe(413);
  expect(await answer.json()).toMatchObject({ code: 'BATCH_TOO_LARGE', data: { limit: MOST } });
  expect(archive.requests).toHaveLength(Math.ceil((MOST + 1) / PAGE));
});

it('attack: the same series twice, and results of ours among them; each once, and no job for ours', async () => {
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
