/** Deflated instances from a real archive, as stored: our client requests them in that form. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN } from '../../core/src/dicom/transfer-syntaxes.ts';
import { readSeriesStain } from '../../server/src/pipeline/series-stain.ts';
import type { ArchiveLocation } from '../../server/src/wiring/archive-location.ts';
import { deflateFile } from '../support/deflate-file.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { newerOrthanc, orthancs, type RunningOrthanc, startOrthanc } from '../support/orthanc.ts';
import { collect, type StorableSlide } from '../support/storable.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const slide = tissueSlide('deflated');
const file = deflateFile(slide.bytes);
const { signal } = new AbortController();

for (const peer of orthancs)
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
      expect(bytes.includes(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)).toBe(true);
      expect(bytes.length).toBeLessThan(slide.bytes.length);
    });

    it('is normalised to the same result as the slide before deflation', async () => {
      const { seconds: _, ...through } = await normalizeOnlySlide(place, archive, archive, { model: 'fast' });
      const { seconds: __, ...plain } = await normalizeOnlySlide(place, folder, folder, { model: 'fast' });
      expect(through).toEqual(plain);
    });

    // The older one responds with 500 to requests for single frames of it.
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
