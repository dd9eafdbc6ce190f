/** The quality report, over a real queue whose results the test makes up and an archive that knows its users. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NormalizationResult } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import { noteOf, noteText } from '../../core/src/notes.ts';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import type { SearchParameters } from '../../server/src/dicomweb/client.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { FINGERPRINT, openJobs, RESULT, SteeredWork } from '../jobs/support.ts';
import { SCOPED_LOGIN } from '../support/scoped-login.ts';
import { startApp, type TestApp } from '../support/test-app.ts';

const TODAY = new Date().toISOString().slice(0, 10);
const FAINT = noteOf(noteText('SLIDE_FAINT', { density: 0.1 }));
const [NEAR, FAR] = [
  { before: 14.26, after: 2.04 },
  { before: 3, after: 9.5 },
];
const he = { verdict: 'he', score: 0.01, reasons: [] } as const;

/** What becomes of each series, in the order in which they are asked for. */
const SLIDES: readonly [uid: string, outcome: Partial<NormalizationResult> | StainError][] = [
  ['1.2.1', { outOfDistribution: he, colourDistance: NEAR }],
  ['1.2.2', { outOfDistribution: he, colourDistance: NEAR, notes: [FAINT] }],
  ['1.2.3', { outOfDistribution: he, colourDistance: FAR }],
  ['1.2.4', { outOfDistribution: { verdict: 'unsure', score: 0.55, reasons: ['x'] }, colourDistance: NEAR }],
  ['1.2.5', { outOfDistribution: { verdict: 'other', score: 0.93, reasons: ['x'] } }],
  ['1.2.6', new StainError('TOO_LITTLE_TISSUE', '=HYPERLINK("http://evil.example")')],
  ['1.2.7', new StainError('NOT_WHOLE_SLIDE', 'A CT.')],
];
/** As a spreadsheet would run it. */
const ACCESSION = '+49 "A", 7';

const work = new SteeredWork();
const records: AuditEntry[] = [];
const asked: { user: string; parameters: SearchParameters }[] = [];
let answer: (parameters: SearchParameters) => DicomJson[] = () => [];
let jobs: JobService;
let batches: BatchService;
let app: TestApp;
let batch: string;

beforeAll(async () => {
  jobs = await openJobs({
    run: work.run,
    fingerprint: async ({ seriesInstanceUid }) => {
      if (seriesInstanceUid === '1.2.7') throw SLIDES.at(-1)![1];
      return FINGERPRINT;
    },
  });
  batches = new BatchService({ jobs, pollMs: 50, onFault: () => {} });
  app = await startApp(jobs, {
    batches,
    login: SCOPED_LOGIN,
    audit: { record: (entry) => void records.push(entry) },
    searchSeries: async () =>
      SLIDES.map(([uid]) => ({
        '0020000D': { vr: 'UI', Value: ['1.2'] },
        '0020000E': { vr: 'UI', Value: [uid] },
      })),
    searchInstances: async ({ id }, parameters) => {
      asked.push({ user: id, parameters });
      return answer(parameters);
    },
  });
  const calls = SLIDES.slice(0, -1).map(() => work.next());
  const made = await ask('/api/batches', 'administer', {
    method: 'POST',
    body: JSON.stringify({ query: {}, template: 'one' }),
    headers: { 'Content-Type': 'application/json' },
  });
  batch = ((await made.json()) as { id: string }).id;
  for (const next of calls) {
    const call = await next;
    const [uid, outcome] = SLIDES.find(([one]) => one === call.request.seriesInstanceUid)!;
    if (outcome instanceof StainError) call.fail(outcome);
    else
      call.succeed({
        ...RESULT,
        seriesInstanceUid: `2.25.${uid.at(-1)}`,
        instances: [
          { ...RESULT.instances[0]!, source: '1.9.1' },
          { ...RESULT.instances[0]!, sopInstanceUid: '2.25.9', bytes: 7, source: '1.9.9' },
        ],
        ...outcome,
      });
  }
  await vi.waitFor(
    async () => expect((await batches.get(batch)).counts).toEqual({ COMPLETED: 5, FAILED: 1, REFUSED: 1 }),
    { timeout: 60_000 },
  );
}, 120_000);
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await jobs.close();
});
beforeEach(() => {
  records.length = 0;
  asked.length = 0;
  answer = () => [
    { '00080050': { vr: 'SH', Value: [ACCESSION] }, '00400512': { vr: 'LO', Value: ['BLOCK 3'] } },
  ];
});

const ask = (path: string, user?: string, init: RequestInit = {}) =>
  fetch(app.url + path, {
    ...init,
    headers: {
      ...(user && { Authorization: `Bearer ${user}` }),
      ...(init.headers as Record<string, string>),
    },
  });

/** The cells of a CSV text (RFC 4180), by the names of its first line. */
function parseCsv(text: string): Record<string, string>[] {
  expect(text.endsWith('\r\n')).toBe(true);
  const lines = [...text.matchAll(/((?:"(?:[^"]|"")*"|[^",\r\n]*)(?:,(?:"(?:[^"]|"")*"|[^",\r\n]*))*)\r\n/g)];
  const [names, ...rows] = lines.map(([, line]) =>
    [...line!.matchAll(/("(?:[^"]|"")*"|[^",]*)(?:,|$)/g)]
      .map(([, cell]) => (cell!.startsWith('"') ? cell!.slice(1, -1).replaceAll('""', '"') : cell!))
      .slice(0, line!.length === 0 ? 1 : undefined),
  );
  return rows.map((row) => Object.fromEntries(names!.map((name, i) => [name, row[i] ?? ''])));
}
const csvOf = async (query: string) =>
  parseCsv(await (await ask(`/api/quality.csv${query}`, 'administer')).text());

describe('the quality report', () => {
  it.each(['/api/quality.csv', '/api/quality.html'])('is for administrators only: %s', async (path) => {
    for (const user of ['read', 'normalize']) {
      const refused = await ask(path, user);
      expect(refused.status).toBe(403);
      expect(await refused.json()).toMatchObject({ code: 'FORBIDDEN' });
    }
    expect((await ask(path)).status).toBe(401);
    expect(asked).toEqual([]);
    expect((await ask(path, 'administer')).status).toBe(200);
    await expect.poll(() => records.at(-1)).toMatchObject({ event: 'quality-exported', outcome: 'success' });
  });

  it('says when a slide was refused, and not when the report was read', async () => {
    const refusedAt = async () =>
      (await csvOf(`?batch=${batch}`)).find(({ look }) => look === 'refused')!.endedAt;
    const first = await refusedAt();
    expect(first).toMatch(/^\d{4}-/);
    expect(await refusedAt()).toBe(first);
  });

  it('has every slide of a batch, the most pressing first', async () => {
    const rows = await csvOf(`?batch=${batch}`);
    expect(rows.map(({ seriesInstanceUid, look, state }) => [seriesInstanceUid, look, state])).toEqual([
      ['1.2.6', 'failed', 'FAILED'],
      ['1.2.7', 'refused', 'REFUSED'],
      ['1.2.5', 'not H&E', 'COMPLETED'],
      ['1.2.4', 'perhaps not H&E', 'COMPLETED'],
      ['1.2.3', 'further from the template than before', 'COMPLETED'],
      ['1.2.2', 'has notes', 'COMPLETED'],
      ['1.2.1', '', 'COMPLETED'],
    ]);
    expect(rows.find(({ seriesInstanceUid }) => seriesInstanceUid === '1.2.2')).toMatchObject({
      template: 'one',
      outOfDistribution: 'he',
      outOfDistributionScore: '0.01',
      notes: FAINT.message,
      ciede2000Before: '14.3',
      ciede2000After: '2.0',
      derivedSeriesInstanceUid: '2.25.2',
      containerIdentifier: 'BLOCK 3',
      identifiersCode: '',
      // The smallest image, and the one that it was made of.
      pictureBefore: `${app.url}/dicom-web/studies/1.2/series/1.2.2/instances/1.9.9/rendered`,
      pictureAfter: `${app.url}/dicom-web/studies/1.2/series/2.25.2/instances/2.25.9/rendered`,
    });
    expect(rows[0]).toMatchObject({
      code: 'TOO_LITTLE_TISSUE',
      pictureBefore: `${app.url}/dicom-web/studies/1.2/series/1.2.6/rendered`,
      pictureAfter: '',
      ciede2000Before: '',
    });
    await expect.poll(() => records).toMatchObject([{ event: 'quality-exported', batchId: batch }]);
  });

  it('attack: a message or an identifier that is a formula stays text in a spreadsheet', async () => {
    const [first] = await csvOf(`?batch=${batch}`);
    expect(first!['message']).toBe(`'=HYPERLINK("http://evil.example")`);
    expect(first!['accessionNumber']).toBe(`'${ACCESSION}`);
  });

  it('has the slides of some days, seven by default', async () => {
    const rows = await csvOf('');
    expect(rows.map(({ seriesInstanceUid }) => seriesInstanceUid).toSorted()).toEqual(
      SLIDES.map(([uid]) => uid),
    );
    expect(await csvOf(`?from=${TODAY}&to=${TODAY}`)).toHaveLength(SLIDES.length);
    expect(await csvOf('?from=2020-01-01&to=2020-01-31')).toEqual([]);
    for (const query of [
      '?from=2020-02-01&to=2020-01-31',
      '?from=2020-01-01&to=2020-12-31',
      '?from=yesterday',
      `?batch=${batch}&from=2020-01-01`,
      '?batch=1',
      '?patient=1',
    ])
      expect((await ask(`/api/quality.csv${query}`, 'administer')).status, query).toBe(400);
    const missing = await ask('/api/quality.csv?batch=00000000-0000-4000-8000-000000000000', 'administer');
    expect(await missing.json()).toMatchObject({ code: 'BATCH_NOT_FOUND' });
  });

  it('asks the archive for identifiers as the user, and says what it did not tell', async () => {
    answer = ({ SeriesInstanceUID }) => {
      if (SeriesInstanceUID === '1.2.6') return [];
      throw new StainError('ARCHIVE_ERROR', 'No.');
    };
    const rows = await csvOf(`?batch=${batch}`);
    expect(rows.map(({ identifiersCode }) => identifiersCode)).toEqual([
      'SERIES_NOT_FOUND',
      ...SLIDES.slice(1).map(() => 'ARCHIVE_ERROR'),
    ]);
    expect(rows.every(({ accessionNumber }) => accessionNumber === '')).toBe(true);
    expect(asked[0]).toEqual({
      user: 'administer',
      parameters: {
        StudyInstanceUID: '1.2',
        SeriesInstanceUID: '1.2.6',
        includefield: ['00080050', '00400512'],
        limit: 1,
      },
    });
  });

  it('is a page to print, with the same', async () => {
    const response = await ask(`/api/quality.html?batch=${batch}`, 'administer');
    expect(response.headers.get('Content-Security-Policy')).toMatch(
      /^default-src 'none'; style-src 'sha256-/,
    );
    const page = await response.text();
    expect(page).toContain(`<b>${SLIDES.length}</b> slides`);
    // Of the three near ones and the far one.
    expect(page).toContain('<b>11.4</b> before, <b>3.9</b> after');
    expect(page).toContain('+49 &#34;A&#34;, 7<small>BLOCK 3</small>');
    expect(page).toContain('TOO_LITTLE_TISSUE</span> =HYPERLINK(&#34;http://evil.example&#34;)');
    expect(page).toContain('src="/dicom-web/studies/1.2/series/1.2.2/instances/1.9.9/rendered"');
    expect(page.indexOf('1.2.6')).toBeLessThan(page.indexOf('1.2.1<'));
    expect(page).toContain(`href="/api/quality.csv?batch=${batch}"`);
    expect(page).not.toContain('Next page');
    expect(await (await ask(`/api/quality.html?batch=${batch}&page=2`, 'administer')).text()).toContain(
      'Previous page',
    );
    expect((await ask('/api/quality.html?page=0', 'administer')).status).toBe(400);
    expect((await ask('/api/quality.html?page=201', 'administer')).status).toBe(400);
  });
});
