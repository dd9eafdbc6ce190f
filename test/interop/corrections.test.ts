/** Corrected and moved patients, accessions and studies in a real Orthanc, and what becomes of the results. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { StoredResult } from '../../core/src/contract/index.ts';
import { testUid } from '../support/make-slide.ts';
import { installedOrthanc, newerOrthanc, orthancs, startOrthanc } from '../support/orthanc.ts';
import { OrthancRest } from '../support/orthanc-rest.ts';
import { repository } from '../support/peers.ts';
import { startResultsSite } from '../support/results-site.ts';
import { wholeSlide } from '../support/rules-site.ts';
import { patientOf, titleOf } from '../support/stored-result.ts';

const PATIENT = { PatientID: 'C-1', PatientName: 'Before', AccessionNumber: 'A-1' };

describe.each(orthancs)('in $name', (which) => {
  it.skipIf(which.missing)(
    'a slide that comes again corrected is noticed, and made again on request',
    async () => {
      await using orthanc = await startOrthanc(which, {}, { OverwriteInstances: true });
      const rest = new OrthancRest(orthanc);
      const name = `corrected ${which.name}`;
      const before = await wholeSlide(name, [2, 3], PATIENT);
      await rest.put(before.files);
      await using site = await startResultsSite(orthanc.url);
      const { studyInstanceUid } = before;
      const first = (await site.normalized(before)).result!;
      const after = { ...PATIENT, PatientName: 'After', AccessionNumber: 'A-2' };
      await rest.put((await wholeSlide(name, [2, 3], after)).files);

      const [checked] = await site.post<StoredResult[]>('/api/results/check', { studyInstanceUid });
      expect(checked).toMatchObject({ state: 'DIFFERS', differs: ['PatientName', 'AccessionNumber'] });
      expect(await site.get('/api/results?state=DIFFERS')).toMatchObject({ results: [checked] });
      expect(await (await fetch(`${site.service.url}/metrics`)).text()).toContain(
        'stain_results{state="DIFFERS"} 1',
      );

      const { stdout } = await promisify(execFile)(process.execPath, [
        join(repository, 'server/src/main.ts'),
        ...['corrections', orthanc.url, '--study', studyInstanceUid],
      ]);
      expect(stdout.trim()).toBe(`DIFFERS      ${first.seriesInstanceUid}  PatientName AccessionNumber`);

      const { replacement } = await site.post<StoredResult>(`/api/results/${first.seriesInstanceUid}/remake`);
      const second = (await site.ended(replacement!)).result!;
      expect(second).toMatchObject({ revision: 2, supersedes: first.seriesInstanceUid });
      expect(await patientOf(orthanc, second)).toEqual(after);
      expect(await patientOf(orthanc, first)).toEqual(PATIENT);
      expect(await titleOf(orthanc, first)).toBe('worklist');
      expect(await titleOf(orthanc, second)).toBeUndefined();
      const states = (await site.post<StoredResult[]>('/api/results/check', { studyInstanceUid })).map(
        ({ seriesInstanceUid, state }) => [seriesInstanceUid, state],
      );
      expect(states).toEqual([[second.seriesInstanceUid, 'CURRENT']]);
    },
  );

  it.skipIf(which.missing)('a patient whose images got other UIDs has lost slide and result', async () => {
    await using orthanc = await startOrthanc(which);
    const rest = new OrthancRest(orthanc);
    const slide = await wholeSlide(`renamed ${which.name}`, [3], PATIENT);
    await rest.put(slide.files);
    await using site = await startResultsSite(orthanc.url);
    await site.normalized(slide);
    await rest.modify('patients', PATIENT.PatientID, { Replace: { PatientID: 'C-4' } });
    const results = await site.post('/api/results/check', { studyInstanceUid: slide.studyInstanceUid });
    expect(results).toMatchObject([{ state: 'GONE', differs: [] }]);
  });
});

it.skipIf(installedOrthanc.missing)('a slide whose levels come late has one result in the end', async () => {
  await using orthanc = await startOrthanc();
  const rest = new OrthancRest(orthanc);
  const { files, ...slide } = await wholeSlide('late levels', [2, 3], PATIENT);
  await rest.put(files.slice(0, 1));
  await using site = await startResultsSite(orthanc.url);
  const first = (await site.normalized(slide)).result!;
  await rest.put(files.slice(1));
  const second = (await site.normalized(slide)).result!;
  expect(second).toMatchObject({ revision: 2, supersedes: first.seriesInstanceUid });
  await expect
    .poll(() => site.result(first.seriesInstanceUid), { timeout: 120_000, interval: 1000 })
    .toMatchObject({ state: 'REJECTED', reason: 'quality' });
  expect(await titleOf(orthanc, first)).toBe('quality');
  expect(await site.result(second.seriesInstanceUid)).toMatchObject({ state: 'CURRENT' });
  expect(await titleOf(orthanc, second)).toBeUndefined();
  // Nothing is made again: the next request finds the second.
  expect((await site.normalized(slide)).result).toMatchObject({
    seriesInstanceUid: second.seriesInstanceUid,
  });
});

/** Orthanc 1.10 cannot keep the UIDs of what it moves. */
describe.each([newerOrthanc])('with the same UIDs, in $name', (which) => {
  it.skipIf(which.missing)(
    'a slide that moves to another patient is made again there by itself',
    async () => {
      await using orthanc = await startOrthanc(which);
      const rest = new OrthancRest(orthanc);
      const slide = await wholeSlide(`moved ${which.name}`, [2, 3], PATIENT);
      await rest.put(slide.files);
      await using site = await startResultsSite(orthanc.url, { STAIN_RESULTS_ON_CORRECTION: 'remake' });
      const first = (await site.normalized(slide)).result!;
      await site.service.stop();
      const study = testUid(`moved to ${which.name}`);
      const Replace = { PatientID: 'C-2', PatientName: 'Other', StudyInstanceUID: study };
      await rest.modify('series', slide.seriesInstanceUid, {
        Replace,
        Keep: ['SeriesInstanceUID', 'SOPInstanceUID'],
      });

      await site.service.start();
      const result = () => site.result(first.seriesInstanceUid);
      await expect
        .poll(async () => (await result())?.replacement ?? null, { timeout: 60_000 })
        .not.toBeNull();
      const old = (await result())!;
      expect(old).toMatchObject({
        state: 'REJECTED',
        reason: 'worklist',
        studyInstanceUid: slide.studyInstanceUid,
      });
      expect(old.source.studyInstanceUid).toBe(study);
      expect(old.differs).toEqual(['PatientID', 'PatientName', 'StudyInstanceUID']);
      const second = (await site.ended(old.replacement!)).result!;
      expect(second.studyInstanceUid).toBe(study);
      expect(await patientOf(orthanc, second)).toMatchObject({ PatientID: 'C-2', PatientName: 'Other' });
      expect(await titleOf(orthanc, first)).toBe('worklist');
    },
  );

  it.skipIf(which.missing)('a study that is corrected as a whole keeps its results', async () => {
    await using orthanc = await startOrthanc(which);
    const rest = new OrthancRest(orthanc);
    const slide = await wholeSlide(`whole ${which.name}`, [3], PATIENT);
    await rest.put(slide.files);
    await using site = await startResultsSite(orthanc.url);
    const first = (await site.normalized(slide)).result!;
    const study = testUid(`whole to ${which.name}`);
    await rest.modify('studies', slide.studyInstanceUid, {
      Replace: { PatientID: 'C-3', AccessionNumber: 'A-3', StudyInstanceUID: study },
      Keep: ['SeriesInstanceUID', 'SOPInstanceUID'],
    });
    const results = await site.post('/api/results/check', { studyInstanceUid: slide.studyInstanceUid });
    expect(results).toMatchObject([
      { seriesInstanceUid: first.seriesInstanceUid, studyInstanceUid: study, state: 'CURRENT', differs: [] },
    ]);
  });
});
