/**
 * Real slides through the whole product: the embedded archive and a real Orthanc give the same pixels, validators find
 * no new errors, and independent readers see what was computed.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NormalizationResult } from '../../core/src/contract/index.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { orthancs, startOrthanc } from '../support/orthanc.ts';
import { dicomErrors, program, python, repository, runPython, sharedSlide } from '../support/peers.ts';
import { recompute } from '../support/recompute.ts';

const dciodvfy = program('dciodvfy');
const signal = new AbortController().signal;

const slides = [
  { name: 'the sample slide', path: join(repository, 'scripts/sample'), missing: false, note: '' },
  { name: 'cmu1 (JPEG whose tag says RGB, 12 levels)', ...sharedSlide('cmu1') },
  { name: 'camelyon-jpeg.dcm (one level)', ...sharedSlide('camelyon-jpeg.dcm') },
];

async function dicomFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => name.endsWith('.dcm')).map((name) => join(folder, name));
}

describe.each(slides.map((slide) => [`${slide.name}${slide.note}`, slide] as const))(
  '%s',
  (_title, slide) => {
    describe.skipIf(slide.missing)('normalised', () => {
      let place: Workplace;
      let source: string;
      let derived: string;
      let result: NormalizationResult;

      beforeAll(async () => {
        place = await createWorkplace();
        source = await place.fill('source', slide.path);
        derived = join(place.folder, 'derived');
        await using from = await place.open(source);
        await using to = await place.open(derived);
        result = await normalizeOnlySlide(place, from, to);
      }, 300_000);
      afterAll(() => place?.[Symbol.asyncDispose]());

      it('has one instance for each image of the source, and leaves no spool', async () => {
        expect((await dicomFiles(derived)).length).toBe((await dicomFiles(source)).length);
        expect(await readdir(place.spool)).toEqual([]);
      });

      it.skipIf(dciodvfy.missing)(`has no error that the source did not have${dciodvfy.note}`, async () => {
        const known = new Set(
          (await Promise.all((await dicomFiles(source)).map((file) => dicomErrors('dciodvfy', file)))).flat(),
        );
        for (const file of await dicomFiles(derived)) {
          const found = await dicomErrors('dciodvfy', file);
          expect(found.filter((line) => !known.has(line))).toEqual([]);
        }
        const inconsistent = new Set(await dicomErrors('dcentvfy', ...(await dicomFiles(source))));
        const together = await dicomErrors(
          'dcentvfy',
          ...(await dicomFiles(source)),
          ...(await dicomFiles(derived)),
        );
        expect(together.filter((line) => !inconsistent.has(line))).toEqual([]);
      });

      it.skipIf(python.missing)(
        `is read by wsidicom, highdicom and pydicom as it was computed${python.note}`,
        async () => {
          const expected = join(place.folder, 'expected.rgb');
          const { pixels, sizes } = await recompute(place, source, result);
          await writeFile(expected, pixels);
          const report = JSON.parse(
            await runPython('read_derived.py', source, derived, expected, JSON.stringify(sizes)),
          );
          // JPEG 4:2:2 at quality 90: single pixels at sharp colour edges may differ much, the mean may not.
          expect(report.wsidicom.mean).toBeLessThan(6);
          if (report.highdicom) expect(report.highdicom.mean).toBeLessThan(6);
          expect(report.levels).toHaveLength(result.instances.length - 1);
          for (const level of report.levels) expect(level.mean).toBeLessThan(8);
          expect(report.wsidicom.levels).toBe(report.wsidicom.levelsOfSource);
          expect(report.frames).toBe(result.instances.reduce((sum, { frames }) => sum + frames, 0));
        },
      );

      for (const peer of orthancs)
        it.skipIf(peer.missing)(`gives the same pixels through ${peer.name}`, async () => {
          await using orthanc = await startOrthanc(peer);
          await using archive = await place.open(orthanc.url);
          for (const file of await dicomFiles(source)) {
            await using part10 = await openPart10(file);
            const bytes = await readFile(file);
            const { dataset, sopInstanceUid } = part10;
            await archive.client.storeInstance(
              dataset.string('StudyInstanceUID')!,
              {
                sopInstanceUid,
                sopClassUid: dataset.string('SOPClassUID')!,
                rows: dataset.number('Rows')!,
                columns: dataset.number('Columns')!,
                numberOfFrames: part10.numberOfFrames,
                byteLength: bytes.length,
                stream: async function* () {
                  yield bytes;
                },
              },
              signal,
            );
          }
          const through = await normalizeOnlySlide(place, archive, archive);
          expect(through.instances.map((instance) => instance.sopInstanceUid)).toEqual(
            result.instances.map((instance) => instance.sopInstanceUid),
          );
          const local = new Map<string, string>();
          for (const file of await dicomFiles(derived)) {
            await using part10 = await openPart10(file);
            local.set(part10.sopInstanceUid, file);
          }
          for (const { sopInstanceUid, frames } of through.instances) {
            await using part10 = await openPart10(local.get(sopInstanceUid)!);
            const numbers = Array.from({ length: frames }, (_, i) => i + 1);
            let i = 0;
            for await (const frame of archive.client.retrieveFrames(
              through.studyInstanceUid,
              through.seriesInstanceUid,
              sopInstanceUid,
              numbers,
              signal,
            ))
              expect(Buffer.compare(frame.bytes, await part10.frame(i++))).toBe(0);
            expect(i).toBe(frames);
          }
        });
    });
  },
);

const blank = sharedSlide('highdicom_sm_image.dcm');

it.skipIf(blank.missing)(`a slide without tissue is refused and nothing is stored${blank.note}`, async () => {
  await using place = await createWorkplace();
  await using from = await place.open(await place.fill('source', blank.path));
  await using to = await place.open(join(place.folder, 'derived'));
  await expect(normalizeOnlySlide(place, from, to)).rejects.toMatchObject({ code: 'TOO_LITTLE_TISSUE' });
  expect(await dicomFiles(join(place.folder, 'derived'))).toEqual([]);
  expect(await readdir(place.spool)).toEqual([]);
});

describe('lossless output', () => {
  it.each(['htj2k', 'jpeg2000'] as const)(
    `holds exactly the computed pixels: %s${python.note}`,
    async (encoding) => {
      await using place = await createWorkplace();
      const source = await place.fill(
        'source',
        join(repository, 'scripts/sample/level-2.dcm'),
        join(repository, 'scripts/sample/level-3.dcm'),
      );
      const derived = join(place.folder, 'derived');
      await using from = await place.open(source);
      await using to = await place.open(derived);
      const result = await normalizeOnlySlide(place, from, to, { encoding });
      const { pixels, sizes } = await recompute(place, source, result);
      // dicom3tools of 2022 does not know the transfer syntaxes of HTJ2K.
      if (!dciodvfy.missing && encoding === 'jpeg2000')
        for (const file of await dicomFiles(derived)) expect(await dicomErrors('dciodvfy', file)).toEqual([]);
      if (python.missing) return;
      const expected = join(place.folder, 'expected.rgb');
      await writeFile(expected, pixels);
      const report = JSON.parse(
        await runPython('read_derived.py', source, derived, expected, JSON.stringify(sizes)),
      );
      expect(report.highdicom.max).toBe(0);
      expect(report.wsidicom.max).toBe(0);
      expect(report.levels.map(({ max }: { max: number }) => max)).toEqual([0]);
    },
  );
});
