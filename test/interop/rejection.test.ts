/** Rejection of results by Key Object Selections, over real archives; dicom3tools and highdicom read the documents. */
import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Job, StoredResult } from '../../core/src/contract/index.ts';
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { ARCHIVES } from '../faults/archives.ts';
import { dicomErrors, program, python, repository, runPython } from '../support/peers.ts';
import { startResultsSite } from '../support/results-site.ts';
import { wholeSlide } from '../support/rules-site.ts';

const tools = program('dciodvfy');
const signal = new AbortController().signal;

/** The only Key Object Selection of a study, as a file. */
async function saveNote(client: DicomWebClient, study: string, path: string): Promise<void> {
  const found = await client.searchInstances({ StudyInstanceUID: study, Modality: 'KO' }, signal);
  const notes = found.filter((json) => textOf(json, '00080060') === 'KO');
  expect(notes).toHaveLength(1);
  await saveInstance(client, study, textOf(notes[0]!, '0020000E')!, textOf(notes[0]!, '00080018')!, path);
}

async function saveInstance(
  client: DicomWebClient,
  ...[study, series, instance, path]: [string, string, string, string]
): Promise<void> {
  await pipeline(client.retrieveInstance(study, series, instance, signal), createWriteStream(path));
}

describe.each(ARCHIVES)('a result in $name', ({ missing, start }) => {
  it.skipIf(missing || tools.missing || python.missing)(
    `is rejected by a valid document, and made anew${tools.note}${python.note}`,
    async () => {
      await using archive = await start();
      const slide = await wholeSlide('rejection', [2, 3], {
        PatientID: 'R-1',
        AccessionNumber: 'A-1',
      });
      await archive.put(slide.files);
      await using site = await startResultsSite(archive.url);
      const { studyInstanceUid } = slide;
      const first = (await site.normalized(slide)).result!;
      expect(await site.listed(studyInstanceUid)).toEqual([first.seriesInstanceUid]);
      expect(await site.post<StoredResult[]>('/api/results/check', { studyInstanceUid })).toMatchObject([
        { seriesInstanceUid: first.seriesInstanceUid, state: 'CURRENT', differs: [], expiresAt: null },
      ]);

      const path = `/api/results/${first.seriesInstanceUid}/reject`;
      const rejected = { state: 'REJECTED', reason: 'safety' };
      expect(await site.post(path, { reason: 'safety' })).toMatchObject(rejected);
      // Once is enough: the second time nothing is stored.
      expect(await site.post(path, { reason: 'quality' })).toMatchObject(rejected);
      expect((await site.get<{ jobs: Job[] }>('/api/normalizations')).jobs).toMatchObject([
        { rejected: 'safety' },
      ]);

      await using folder = await temporaryFolder();
      const client = createDicomWebClient({ url: archive.url });
      const note = folder.file('note.dcm');
      await saveNote(client, studyInstanceUid, note);
      const derived = await Promise.all(
        first.instances.map(async ({ sopInstanceUid }, i) => {
          const file = folder.file(`${i}.dcm`);
          await saveInstance(client, studyInstanceUid, first.seriesInstanceUid, sopInstanceUid, file);
          return file;
        }),
      );
      await client.close();
      expect(await dicomErrors('dciodvfy', note)).toEqual([]);
      expect(await dicomErrors('dcentvfy', note, ...derived)).toEqual([]);
      const instances = first.instances.map(({ sopInstanceUid }) => sopInstanceUid).sort();
      expect(JSON.parse(await runPython('read_rejection.py', note))).toEqual({
        title: ['113037', 'DCM', 'Rejected for Patient Safety Reasons'],
        patientId: 'R-1',
        accessionNumber: 'A-1',
        observers: 1,
        instances,
        evidence: instances,
      });

      // The normalised archive forgets it within half a minute.
      await expect
        .poll(() => site.listed(studyInstanceUid), { timeout: 60_000, interval: 500 })
        .not.toEqual([first.seriesInstanceUid]);
      const [listed] = await site.listed(studyInstanceUid);
      const second = (await site.normalized(slide)).result!;
      expect(second).toMatchObject({
        revision: 2,
        supersedes: first.seriesInstanceUid,
        seriesInstanceUid: listed,
      });

      // The command line finds that it was rejected, and leaves alone what is not ours.
      const reject = (series: string) =>
        promisify(execFile)(
          process.execPath,
          [
            `${repository}/server/src/main.ts`,
            ...['reject', archive.url, '--study', studyInstanceUid, '--series', series],
          ],
          { env: { ...process.env, STAIN_SPOOL_DIRECTORY: folder.file('spool') } },
        );
      expect((await reject(first.seriesInstanceUid)).stdout).toContain('was rejected before');
      await expect(reject(slide.seriesInstanceUid)).rejects.toThrow('RESULT_NOT_OURS');
      expect((await reject(second.seriesInstanceUid)).stdout).toContain('all 2 instances');
      // What others reject is noticed.
      await site.post('/api/results/check', { studyInstanceUid });
      expect(await site.result(second.seriesInstanceUid)).toMatchObject({
        state: 'REJECTED',
        reason: 'quality',
      });
    },
  );
});
