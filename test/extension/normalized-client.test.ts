/** What a slide viewer is told and sent of a slide that is normalised in the browser. */
import { expect, test, vi } from 'vitest';
import type { WadoClient } from '../../extension/src/ohif/types.ts';
import { FrameSource } from '../../extension/src/preview/frame-source.ts';
import type { WindowPixels } from '../../extension/src/preview/messages.ts';
import { normalizedClient } from '../../extension/src/preview/normalized-client.ts';
import { fakeOhif, SOURCE, slide } from './fake-ohif.ts';

const STORED = new ArrayBuffer(12);
const [series] = fakeOhif(slide(SOURCE)).host.allSeries();

/** A slide of frames of 2 x 2 pixels. @param map what becomes of a frame */
function client(map: (window: WindowPixels) => Promise<Uint8Array>) {
  const retrieveInstanceFrames = vi.fn(async () => [STORED]);
  const abort = new AbortController();
  const told = { progress: vi.fn(), error: vi.fn() };
  const made = normalizedClient({
    instances: [
      {
        ...{ SOPInstanceUID: '1.5', Columns: 2, Rows: 2, PhotometricInterpretation: 'YBR_FULL' },
        PlanarConfiguration: 1,
      },
    ],
    source: new FrameSource(series!, () => ({ retrieveInstanceFrames }) as unknown as WadoClient),
    native: 'RGB',
    metadata: async () => [
      {
        '00280004': { vr: 'CS', Value: ['YBR_FULL'] },
        '00280006': { vr: 'US', Value: [1] },
        '00280010': { vr: 'US', Value: [2] },
        '00480105': {
          vr: 'SQ',
          Value: [
            {
              '00282000': { vr: 'OB', BulkDataURI: 'https://archive.example/profile' },
              '00480106': { vr: 'SH', Value: ['1'] },
            },
          ],
        },
      },
    ],
    map,
    signal: abort.signal,
    onProgress: told.progress,
    onError: told.error,
  });
  const frames = (...frameNumbers: number[]): Promise<ArrayBuffer[]> =>
    made.retrieveInstanceFrames({
      studyInstanceUID: '1.2',
      seriesInstanceUID: SOURCE,
      sopInstanceUID: '1.5',
      frameNumbers,
    });
  return { made, frames, abort, told, retrieveInstanceFrames };
}

const colours = async () => Uint8Array.from({ length: 12 }, (_, i) => i);

test('its header says sRGB, so that no profile is applied a second time', async () => {
  const { made } = client(colours);
  expect(await made.retrieveSeriesMetadata({ studyInstanceUID: '1.2', seriesInstanceUID: SOURCE })).toEqual([
    {
      '00280004': { vr: 'CS', Value: ['RGB'] },
      '00280006': { vr: 'US', Value: [0] },
      '00280010': { vr: 'US', Value: [2] },
      '00480105': { vr: 'SQ', Value: [{ '00480106': { vr: 'SH', Value: ['1'] } }] },
    },
  ]);
});

test('a frame is mapped from the stored one, in the colours that the service found in it', async () => {
  const map = vi.fn(colours);
  const { frames, retrieveInstanceFrames, told } = client(map);
  const [frame] = await frames(7);
  expect([...new Uint8Array(frame!)]).toEqual([...(await colours())]);
  expect(retrieveInstanceFrames).toHaveBeenCalledExactlyOnceWith(
    expect.objectContaining({ seriesInstanceUID: SOURCE, sopInstanceUID: '1.5', frameNumbers: [7] }),
  );
  expect(map.mock.calls).toEqual([
    [
      {
        ...{ x: 0, y: 0, width: 2, height: 2, planeWidth: 2, planeHeight: 2 },
        frames: [
          expect.objectContaining({
            bytes: STORED,
            native: 'RGB',
            planarConfiguration: 1,
          }),
        ],
      },
      expect.any(AbortSignal),
    ],
  ]);
  expect(told.progress.mock.calls).toEqual([[{ done: 1, total: 1 }]]);
});

test('progress is counted anew when frames are asked for after a rest', async () => {
  const { frames, told } = client(colours);
  await frames(1, 2);
  await frames(3);
  expect(told.progress.mock.calls.map(([{ done, total }]) => [done, total])).toEqual([
    [1, 2],
    [2, 2],
    [1, 1],
  ]);
});

test.each([
  ['JPEG', 0, [0xff, 0xd8]],
  ['JPEG 2000', 0, [0xff, 0x4f]],
  ['BMP', 0, [0x42, 0x4d]],
  ['the end of a JPEG', 10, [0xff, 0xd9]],
  ['the end of a JPEG with its padding', 9, [0xff, 0xd9]],
])('pixels like %s are a grey level off, and are not taken for it', async (_name, at, mark) => {
  const pixels = new Uint8Array(12).fill(9);
  pixels.set(mark, at);
  const { frames } = client(async () => pixels.slice());
  const [frame] = await frames(1);
  const changes = [...new Uint8Array(frame!)].map((value, i) => pixels[i]! - value);
  expect(changes.slice(at, at + 2).toSorted()).toEqual([0, 1]);
  expect(changes.filter((change) => change !== 0)).toHaveLength(1);
});

test('a frame that cannot be made is told of; one that nobody waits for any more is not', async () => {
  const fault = new Error('no memory');
  const { frames, told, abort } = client(() => Promise.reject(fault));
  await expect(frames(1)).rejects.toBe(fault);
  expect(told.error.mock.calls).toEqual([[fault]]);
  abort.abort(new Error('moved on'));
  await expect(frames(2)).rejects.toThrow('moved on');
  expect(told.error).toHaveBeenCalledOnce();
});
