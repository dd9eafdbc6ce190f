/**
 * Results in an archive of their own: slides in a named Orthanc, results in another named archive, Orthanc or tiny_pacs.
 * Corrections, rejection, retention, and one of the archives away or closed to changes.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Job, StoredResult } from '../../core/src/contract/index.ts';
import { openDatabase } from '../../server/src/jobs/database.ts';
import { RESULT } from '../../server/src/jobs/job-records.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { EMBEDDED } from '../faults/archives.ts';
import { answer, isAny, startFaultProxy } from '../support/fault-proxy.ts';
import { testUid } from '../support/make-slide.ts';
import { installedOrthanc, newerOrthanc, startOrthanc } from '../support/orthanc.ts';
import { OrthancRest } from '../support/orthanc-rest.ts';
import { repository } from '../support/peers.ts';
import { type ResultsSite, startResultsSite } from '../support/results-site.ts';
import { wholeSlide } from '../support/rules-site.ts';
import { imagesIn, type Place, patientOf, titleOf } from '../support/stored-result.ts';
import { startTinyPacs, tinyPacs } from '../support/tiny-pacs.ts';

const TOKEN = 't0ken-of-research';
const PATIENT = { PatientID: 'E-1', PatientName: 'Before', AccessionNumber: 'A-1' };
const NAMES = { source: 'vendor', destination: 'research' };

interface Kind {
  readonly name: string;
  readonly missing: unknown;
  start(): Promise<AsyncDisposable & Place>;
}

/** Where results go. */
const KINDS: readonly Kind[] = [
  { name: installedOrthanc.name, missing: installedOrthanc.missing, start: () => startOrthanc() },
  {
    name: `tiny_pacs${tinyPacs.note}`,
    missing: tinyPacs.missing,
    async start() {
      const { url, [Symbol.asyncDispose]: stop } = await startTinyPacs(TOKEN);
      return { url, headers: { Authorization: `Bearer ${TOKEN}` }, [Symbol.asyncDispose]: stop };
    },
  },
];

/** A service over both, and an empty archive as the default one. */
async function startSite(vendor: Place, research: Place, changes: Readonly<Record<string, string>> = {}) {
  await using cleanup = new AsyncDisposableStack();
  const standard = cleanup.use(await EMBEDDED.start());
  const archives = {
    vendor: { url: vendor.url },
    research: { url: research.url, ...(research.headers && { bearer: { env: 'RESEARCH_TOKEN' } }) },
  };
  const site = cleanup.use(
    await startResultsSite(standard.url, {
      STAIN_ARCHIVES: JSON.stringify(archives),
      RESEARCH_TOKEN: TOKEN,
      ...changes,
    }),
  );
  const resources = cleanup.move();
  return { ...site, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

async function command({ environment }: ResultsSite, ...words: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [join(repository, 'server/src/main.ts'), ...words],
    { env: { ...process.env, ...environment } },
  );
  return stdout.trim();
}

const check = ({ post }: ResultsSite, studyInstanceUid: string) =>
  post<StoredResult[]>('/api/results/check', { studyInstanceUid });

describe.each(KINDS)('a result in $name of a slide in another archive', ({ missing, start }) => {
  const skip = Boolean(installedOrthanc.missing ?? missing);

  it.skipIf(skip)('follows the corrections of its slide on request', async () => {
    await using vendor = await startOrthanc(installedOrthanc, {}, { OverwriteInstances: true });
    await using research = await start();
    const rest = new OrthancRest(vendor);
    const before = await wholeSlide('elsewhere corrected', [2, 3], PATIENT);
    const { studyInstanceUid } = before;
    await rest.put(before.files);
    await using site = await startSite(vendor, research);
    const first = (await site.normalized(before, NAMES)).result!;
    expect(await check(site, studyInstanceUid)).toMatchObject([
      { state: 'CURRENT', differs: [], archive: 'research', source: { archive: 'vendor' } },
    ]);

    const after = { ...PATIENT, PatientName: 'After', AccessionNumber: 'A-2' };
    await rest.put((await wholeSlide('elsewhere corrected', [2, 3], after)).files);
    const differs = ['PatientName', 'AccessionNumber'];
    expect(await check(site, studyInstanceUid)).toMatchObject([{ state: 'DIFFERS', differs }]);
    const corrections = ['corrections', 'research', '--study', studyInstanceUid];
    expect(await command(site, ...corrections, '--source', 'vendor')).toBe(
      `DIFFERS      ${first.seriesInstanceUid}  PatientName AccessionNumber`,
    );
    // The slide is not there, and not every archive can look for it in all studies.
    expect(await command(site, ...corrections)).toBe(`SOURCE GONE  ${first.seriesInstanceUid}`);

    const { replacement } = await site.post<StoredResult>(`/api/results/${first.seriesInstanceUid}/remake`);
    const remade = await site.ended(replacement!);
    expect(remade.request).toMatchObject(NAMES);
    const second = remade.result!;
    expect(second).toMatchObject({ revision: 2, supersedes: first.seriesInstanceUid });
    expect(await patientOf(research, second)).toEqual(after);
    expect(await titleOf(research, first)).toBe('worklist');
    expect(await titleOf(research, second)).toBeUndefined();
    expect(await check(site, studyInstanceUid)).toMatchObject([
      { seriesInstanceUid: second.seriesInstanceUid, state: 'CURRENT' },
    ]);
    expect(await imagesIn(vendor, studyInstanceUid)).toEqual([before.seriesInstanceUid]);
  });

  it.skipIf(skip)('is rejected where it is, and made anew', async () => {
    await using vendor = await startOrthanc();
    await using research = await start();
    const slide = await wholeSlide('elsewhere rejected', [2, 3], PATIENT);
    const { studyInstanceUid } = slide;
    await new OrthancRest(vendor).put(slide.files);
    await using site = await startSite(vendor, research);
    const first = (await site.normalized(slide, NAMES)).result!;

    const path = `/api/results/${first.seriesInstanceUid}/reject`;
    expect(await site.post(path, { reason: 'safety' })).toMatchObject({
      state: 'REJECTED',
      reason: 'safety',
    });
    expect(await titleOf(research, first)).toBe('safety');
    expect((await site.get<{ jobs: Job[] }>('/api/normalizations')).jobs).toMatchObject([
      { rejected: 'safety' },
    ]);
    const second = (await site.normalized(slide, NAMES)).result!;
    expect(second).toMatchObject({ revision: 2, supersedes: first.seriesInstanceUid });

    const reject = (series: string): Promise<string> =>
      command(site, 'reject', 'research', '--study', studyInstanceUid, '--series', series);
    expect(await reject(first.seriesInstanceUid)).toContain('was rejected before');
    expect(await reject(second.seriesInstanceUid)).toContain('all 2 instances');
    await check(site, studyInstanceUid);
    const seen = { state: 'REJECTED', reason: 'quality' };
    expect(await site.result(second.seriesInstanceUid)).toMatchObject(seen);
    expect((await site.normalized(slide, NAMES)).result).toMatchObject({ revision: 3 });
    expect(await imagesIn(vendor, studyInstanceUid)).toEqual([slide.seriesInstanceUid]);
  });

  it.skipIf(skip || newerOrthanc.missing)('follows its slide to another patient by itself', async () => {
    await using vendor = await startOrthanc(newerOrthanc);
    await using research = await start();
    const rest = new OrthancRest(vendor);
    const slide = await wholeSlide('elsewhere moved', [2, 3], PATIENT);
    await rest.put(slide.files);
    await using site = await startSite(vendor, research, { STAIN_RESULTS_ON_CORRECTION: 'remake' });
    const first = (await site.normalized(slide, NAMES)).result!;
    await site.service.stop();
    const study = testUid('elsewhere moved to');
    // The whole study: its results, elsewhere, do not move with it.
    await rest.modify('studies', slide.studyInstanceUid, {
      Replace: { PatientID: 'E-2', PatientName: 'Other', StudyInstanceUID: study },
      Keep: ['SeriesInstanceUID', 'SOPInstanceUID'],
    });
    await site.service.start();
    const result = () => site.result(first.seriesInstanceUid);
    await expect.poll(async () => (await result())?.replacement ?? null, { timeout: 60_000 }).not.toBeNull();
    const old = (await result())!;
    expect(old).toMatchObject({ state: 'REJECTED', reason: 'worklist' });
    expect(old.differs).toEqual(['PatientID', 'PatientName', 'StudyInstanceUID']);
    const second = (await site.ended(old.replacement!)).result!;
    expect(second.studyInstanceUid).toBe(study);
    expect(await patientOf(research, second)).toMatchObject({ PatientID: 'E-2', PatientName: 'Other' });
    expect(await titleOf(research, first)).toBe('worklist');
    expect(await imagesIn(vendor, study)).toEqual([slide.seriesInstanceUid]);
  });
});

describe.skipIf(installedOrthanc.missing)('a result in an archive of its own', () => {
  it('ends its retention there', async () => {
    await using vendor = await startOrthanc();
    await using research = await startOrthanc();
    const slide = await wholeSlide('elsewhere kept', [3], PATIENT);
    const { studyInstanceUid } = slide;
    await new OrthancRest(vendor).put(slide.files);
    await using site = await startSite(vendor, research, { STAIN_RESULTS_KEEP_DAYS: '30' });
    const first = (await site.normalized(slide, NAMES)).result!;
    await check(site, studyInstanceUid);
    await site.service.stop();
    const database = await openDatabase({
      directory: site.environment['STAIN_DATABASE_DIRECTORY']!,
      heartbeatSeconds: 60,
      onError(error) {
        throw error;
      },
    });
    await database.query(
      `UPDATE ${RESULT} SET stored_at = now() - interval '31 days', warned_at = now() - interval '15 days'`,
    );
    await database.close();
    await site.service.start();
    const state = async () => (await site.result(first.seriesInstanceUid))?.state;
    await expect.poll(state, { timeout: 60_000 }).toBe('REJECTED');
    expect(await titleOf(research, first)).toBe('retention');
    expect(await imagesIn(vendor, studyInstanceUid)).toEqual([slide.seriesInstanceUid]);
  });

  it('is compared, though not rejected, where nothing may be stored any more', async () => {
    await using vendor = await startOrthanc();
    await using research = await startOrthanc();
    const slide = await wholeSlide('elsewhere closed', [3], PATIENT);
    await new OrthancRest(vendor).put(slide.files);
    await using folder = await temporaryFolder();
    const file = folder.file('config.json');
    const configure = (isReadOnly: boolean) => {
      const archives = { vendor: { url: vendor.url }, research: { url: research.url, isReadOnly } };
      return writeFile(file, JSON.stringify({ archives }));
    };
    await configure(false);
    await using standard = await EMBEDDED.start();
    await using site = await startResultsSite(standard.url, { STAIN_CONFIG: file });
    const first = (await site.normalized(slide, NAMES)).result!;
    await configure(true);
    await site.service.stop();
    await site.service.start();
    expect(await check(site, slide.studyInstanceUid)).toMatchObject([{ state: 'CURRENT' }]);
    const path = `/api/results/${first.seriesInstanceUid}/reject`;
    await expect(site.post(path)).rejects.toThrow(/403 .*"ARCHIVE_READ_ONLY"/);
  });

  it('is named if its archive is away, and those in others are compared', async () => {
    await using vendor = await startOrthanc();
    await using research = await startOrthanc();
    await using proxy = await startFaultProxy(research.url);
    const slide = await wholeSlide('elsewhere away', [3], PATIENT);
    const { studyInstanceUid } = slide;
    await new OrthancRest(vendor).put(slide.files);
    await using site = await startSite(vendor, proxy);
    await site.normalized(slide, NAMES);
    const other = (await site.normalized(slide, { source: 'vendor' })).result!;
    const comparedAt = async () => Date.parse((await site.result(other.seriesInstanceUid))!.checkedAt!);
    await check(site, studyInstanceUid);
    proxy.inject(isAny, answer(500));
    await expect(check(site, studyInstanceUid)).rejects.toThrow(/research: /);
    // From now on the one that fails comes first.
    const before = await comparedAt();
    await expect(check(site, studyInstanceUid)).rejects.toThrow(/research: /);
    expect(await comparedAt()).toBeGreaterThan(before);
  });
});
