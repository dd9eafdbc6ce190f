/** Deflated instances out of a real archive: as it stores them, which is how our client asks for them. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveLocation } from '../../server/src/cli/archive-location.ts';
import { DEFLATED } from '../../server/src/dicom/transfer-syntax.ts';
import { readSeriesStain } from '../../server/src/normalization/series-stain.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { installedOrthanc, newerOrthanc, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { collect, type StorableSlide } from '../support/storable.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const slide = tissueSlide('deflated');
const file = deflateFile(slide.bytes);
const { signal } = new AbortController();

for (const peer of [installedOrthanc, newerOrthanc])
  describe.skipIf(peer.missing)(`a deflated slide in ${peer.name}`, () => {
    let place: Workplace;
    let orthanc: RunningOrthanc;
    let archive: ArchiveLocation;
    let folder: ArchiveLocation;
    beforeAll(async () => {
      place = await createWorkplace();
      orthanc = await startOrthanc(peer);
      archive = await place.open(orthanc.url);
      const stored: StorableSlide = {
        ...slide,
        byteLength: file.length,
        stream: async function* () {
          yield file;
        },
      };
      await archive.client.storeInstance(slide.studyUid, stored, signal);
      await mkdir(join(place.folder, 'plain'));
      await writeFile(join(place.folder, 'plain', 'a.dcm'), slide.bytes);
      folder = await place.open(join(place.folder, 'plain'));
    });
    afterAll(async () => {
      await folder?.[Symbol.asyncDispose]();
      await archive?.[Symbol.asyncDispose]();
      await orthanc?.[Symbol.asyncDispose]();
      await place?.[Symbol.asyncDispose]();
    });

    it('comes deflated', async () => {
      const { studyUid, seriesUid, sopInstanceUid } = slide;
      const bytes = await collect(
        archive.client.retrieveInstance(studyUid, seriesUid, sopInstanceUid, signal),
      );
      expect(bytes.includes(DEFLATED)).toBe(true);
      expect(bytes.length).toBeLessThan(slide.bytes.length);
    });

    it('is normalised as the same slide that is not deflated', async () => {
      const { seconds: _, ...through } = await normalizeOnlySlide(place, archive, archive, { model: 'fast' });
      const { seconds: __, ...plain } = await normalizeOnlySlide(place, folder, folder, { model: 'fast' });
      expect(through).toEqual(plain);
    });

    // The older one answers 500 where single frames of it are asked for.
    if (peer === newerOrthanc)
      it('has its stain read from frames', async () => {
        const reference = { studyInstanceUid: slide.studyUid, seriesInstanceUid: slide.seriesUid };
        const network = await place.composition.network('fast');
        const [through, plain] = [archive, folder].map(async ({ client }) => {
          const access = place.composition.environment({ source: client, destination: client });
          return (await readSeriesStain(reference, network, access, signal)).fit;
        });
        expect(await through).toEqual(await plain);
      });
  });
