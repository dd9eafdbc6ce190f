/** Frames whose header names the wrong colours: previews and jobs have the same pixels, and the right ones. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WHITE } from '../../core/src/image/raster.ts';
import { FrameSource } from '../../extension/src/preview/frame-source.ts';
import { slideLevels } from '../../extension/src/preview/slide-levels.ts';
import { readWindow } from '../../extension/src/preview/window-pixels.ts';
import type { DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { openSeries } from '../../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../../server/src/pipeline/progress.ts';
import { openRemoteSeries } from '../../server/src/pipeline/remote-series.ts';
import { memorySource } from '../../server/src/slide/pixel-source.ts';
import { encodeRle } from '../codec/encoders.ts';
import { largestDifference, toYbrFull } from '../codec/frames.ts';
import { createWorkplace, type Workplace } from '../support/normalize.ts';
import { tissue } from '../support/tissue.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const RLE = '1.2.840.10008.1.2.5';

const { signal } = new AbortController();
let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place[Symbol.asyncDispose]());

/** Responds like the viewer's client. */
const viewerClient = ({ retrieveFrames }: DicomWebClient) => ({
  headers: {},
  retrieveSeriesMetadata: async () => [],
  async retrieveInstanceFrames(wanted: {
    studyInstanceUID: string;
    seriesInstanceUID: string;
    sopInstanceUID: string;
    frameNumbers: readonly number[];
  }) {
    const frames: ArrayBuffer[] = [];
    for await (const { bytes } of retrieveFrames(
      wanted.studyInstanceUID,
      wanted.seriesInstanceUID,
      wanted.sopInstanceUID,
      [...wanted.frameNumbers],
      signal,
    ))
      frames.push(Uint8Array.from(bytes).buffer);
    return frames;
  },
});

describe('the preview of frames', () => {
  test.each([
    ['RGB', 'YBR_FULL_422', 'RGB', 'uncompressed'],
    ['RGB', 'YBR_FULL', 'RGB', 'uncompressed'],
    ['YBR_FULL', 'YBR_ICT', 'YBR_FULL', 'uncompressed'],
    ['RGB', 'RGB', null, 'uncompressed'],
    ['RGB', 'YBR_FULL_422', 'RGB', 'RLE'],
    ['YBR_FULL', 'YBR_FULL_422', 'YBR_FULL', 'RLE'],
    ['YBR_FULL', 'YBR_FULL', null, 'RLE'],
  ] as const)('with %s under the name of %s', async (held, named, found, coding) => {
    const inColours = (rgb: Uint8Array): Uint8Array => (held === 'RGB' ? rgb : toYbrFull(rgb));
    const slide = tissueSlide(
      `${held} as ${named} in ${coding}`,
      { photometricInterpretation: named, ...(coding === 'RLE' && { transferSyntaxUid: RLE }) },
      (rgb) => (coding === 'RLE' ? encodeRle(inColours(rgb)) : inColours(rgb)),
    );
    const folder = join(place.folder, slide.seriesUid);
    await mkdir(folder);
    await writeFile(join(folder, 'a.dcm'), slide.bytes);
    await using archive = await place.open(folder);
    const access = place.composition.environment({ source: archive.client, destination: archive.client });
    const reference = { studyInstanceUid: slide.studyUid, seriesInstanceUid: slide.seriesUid };
    const series = await openRemoteSeries(reference, access, signal);
    const base = series.base(WHITE);

    const level = slideLevels([
      {
        SOPInstanceUID: slide.sopInstanceUid,
        ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'],
        Columns: series.slide.levels[0]!.columns,
        Rows: series.slide.levels[0]!.rows,
        TotalPixelMatrixColumns: base.width,
        TotalPixelMatrixRows: base.height,
        NumberOfFrames: slide.frames.length,
        PhotometricInterpretation: named,
        PlanarConfiguration: 0,
      },
    ])[0]!;
    const frames = new FrameSource(reference as ConstructorParameters<typeof FrameSource>[0], () =>
      viewerClient(archive.client),
    );
    const part = { x: 100, y: 60, width: 200, height: 120 };
    const { rgb } = await readWindow(await frames.window(level, part, found, signal), null);
    expect(Buffer.compare(rgb, (await base.read(part, signal)).rgb)).toBe(0);
    expect((await series.nativeColours()) ?? null).toBe(found);
    await using fetched = await openSeries(reference, access, new ProgressTracker(() => {}), signal);
    expect(Buffer.compare((await fetched.base(WHITE).read(part, signal)).rgb, rgb)).toBe(0);
    const original = tissue(512, 512, { part: 0.7 });
    const cut = (await memorySource(original).read(part, signal)).rgb;
    expect(largestDifference(rgb, cut)).toBeLessThan(4);
  });
});

test('a frame that was decoded with other colours before is decoded again', async () => {
  const frame = { x: 0, y: 0, width: 4, height: 4, key: 'one frame', planarConfiguration: 0 };
  const bytes = new Uint8Array(48).fill(100).buffer;
  const read = async (native: 'RGB' | 'YBR_FULL'): Promise<Uint8Array> => {
    const frames = [{ ...frame, bytes, photometricInterpretation: 'YBR_FULL', native }];
    return (await readWindow({ ...frame, frames, planeWidth: 4, planeHeight: 4 }, null)).rgb;
  };
  const rgb = await read('RGB');
  expect(await read('YBR_FULL')).not.toEqual(rgb);
  expect(await read('RGB')).toEqual(rgb);
});
