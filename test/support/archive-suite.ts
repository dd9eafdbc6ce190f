/** What our client must be able to do with any archive. Runs against Orthanc and against the embedded one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { numberOf, textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { collect, noise, storableSlide } from './storable.ts';

export function describeArchive(
  name: string,
  start: () => Promise<AsyncDisposable & { readonly url: string }>,
  { skip = false }: { skip?: boolean } = {},
): void {
  describe.skipIf(skip)(`${name} through our client`, () => {
    const signal = new AbortController().signal;
    const slide = storableSlide('suite', {
      frames: Array.from({ length: 2500 }, (_, i) => noise(200 + 2 * (i % 50), i)),
    });
    const second = storableSlide('suite second', { overrides: { StudyInstanceUID: slide.studyUid } });
    let archive: Awaited<ReturnType<typeof start>>;
    let client: DicomWebClient;

    beforeAll(async () => {
      archive = await start();
      client = createDicomWebClient({ url: archive.url });
    });
    afterAll(async () => {
      await client?.close();
      await archive?.[Symbol.asyncDispose]();
    });

    it('stores instances and sees them', async () => {
      for (const one of [slide, second]) {
        await client.storeInstance(one.studyUid, one, signal);
        await client.verifyInstance(
          one.studyUid,
          one.seriesUid,
          one.sopInstanceUid,
          { numberOfFrames: one.frames.length },
          signal,
        );
      }
    });

    it('stores an instance a second time without an error', async () => {
      await client.storeInstance(slide.studyUid, slide, signal);
      expect(
        await client.searchInstances(
          { StudyInstanceUID: slide.studyUid, SeriesInstanceUID: slide.seriesUid },
          signal,
        ),
      ).toHaveLength(1);
    });

    it('finds studies, series and instances, also in pages', async () => {
      expect(
        (await client.searchStudies({ StudyInstanceUID: slide.studyUid }, signal)).map((study) =>
          textOf(study, '0020000D'),
        ),
      ).toEqual([slide.studyUid]);
      const series = await client.searchSeries({ StudyInstanceUID: slide.studyUid }, signal);
      expect(series.map((one) => textOf(one, '0020000E')).sort()).toEqual(
        [slide.seriesUid, second.seriesUid].sort(),
      );
      const small = createDicomWebClient({ url: archive.url, pageSize: 1 });
      expect(await small.searchSeries({ StudyInstanceUID: slide.studyUid }, signal)).toHaveLength(2);
      await small.close();
      const [instance] = await client.searchInstances(
        { SOPInstanceUID: slide.sopInstanceUid, includefield: ['NumberOfFrames'] },
        signal,
      );
      expect(numberOf(instance!, '00280008')).toBe(slide.numberOfFrames);
      expect(await client.searchStudies({ StudyInstanceUID: '2.25.404' }, signal)).toEqual([]);
    });

    it('returns the metadata of a series', async () => {
      const metadata = await client.seriesMetadata(slide.studyUid, slide.seriesUid, signal);
      expect(metadata.map((one) => one.string('SOPInstanceUID'))).toEqual([slide.sopInstanceUid]);
      expect(metadata[0]!.number('TotalPixelMatrixColumns')).toBe(16 * slide.frames.length);
    });

    it('returns the instance byte for byte', async () => {
      const bytes = await collect(
        client.retrieveInstance(slide.studyUid, slide.seriesUid, slide.sopInstanceUid, signal),
      );
      expect(bytes.equals(slide.bytes)).toBe(true);
    });

    it('returns frames as stored, in batches and in any order', async () => {
      const wanted = slide.frames.map((_, i) => slide.frames.length - i);
      let count = 0;
      for await (const { index, frameNumber, bytes } of client.retrieveFrames(
        slide.studyUid,
        slide.seriesUid,
        slide.sopInstanceUid,
        wanted,
        signal,
      )) {
        expect(frameNumber).toBe(wanted[index]);
        expect(Buffer.from(bytes).equals(slide.frames[frameNumber - 1]!)).toBe(true);
        count++;
      }
      expect(count).toBe(wanted.length);
    });

    it('reports what does not exist', async () => {
      await expect(client.seriesMetadata(slide.studyUid, '2.25.404', signal)).rejects.toMatchObject({
        code: 'SERIES_NOT_FOUND',
      });
      await expect(
        collect(client.retrieveInstance(slide.studyUid, slide.seriesUid, '2.25.404', signal)),
      ).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    it('refuses an instance under the URL of another study', async () => {
      await expect(client.storeInstance('2.25.405', storableSlide('stray'), signal)).rejects.toMatchObject({
        code: 'STORE_REJECTED',
      });
    });
  });
}
