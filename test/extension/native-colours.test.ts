/** Uncompressed frames whose header names the wrong colours: the preview has the same pixels as the server. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WHITE } from '../../core/src/image/raster.ts';
import { FrameSource } from '../../extension/src/preview/frame-source.ts';
import { slideLevels } from '../../extension/src/preview/slide-levels.ts';
import { readWindow } from '../../extension/src/preview/window-pixels.ts';
import type { DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { openRemoteSeries } from '../../server/src/pipeline/remote-series.ts';
import { toYbrFull } from '../codec/frames.ts';
import { createWorkplace, type Workplace } from '../support/normalize.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

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

describe('the preview of uncompressed frames', () => {
  test.each([
    ['RGB', 'YBR_FULL_422', 'RGB'],
    ['RGB', 'YBR_FULL', 'RGB'],
    ['YBR_FULL', 'YBR_ICT', 'YBR_FULL'],
    ['RGB', 'RGB', null],
  ] as const)('with %s under the name of %s', async (held, named, found) => {
    const change = held === 'RGB' ? undefined : toYbrFull;
    const slide = tissueSlide(`${held} as ${named}`, { photometricInterpretation: named }, change);
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
  });
});

test('a frame that was decoded with other colours before is decoded again', async () => {
  const frame = { x: 0, y: 0, width: 4, height: 4, key: 'one frame', planarConfiguration: 0 };
  const bytes = new Uint8Array(48).fill(100).buffer;
  const read = async (photometricInterpretation: string): Promise<Uint8Array> => {
    const frames = [{ ...frame, bytes, photometricInterpretation }];
    return (await readWindow({ ...frame, frames, planeWidth: 4, planeHeight: 4 }, null)).rgb;
  };
  const rgb = await read('RGB');
  expect(await read('YBR_FULL')).not.toEqual(rgb);
  expect(await read('RGB')).toEqual(rgb);
});
