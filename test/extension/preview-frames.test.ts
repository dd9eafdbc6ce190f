/** How the preview gets frames: their encoding, the number of simultaneous requests, and the cache. */
import { describe, expect, test } from 'vitest';
import { codestreamSyntax } from '../../core/src/codec/codestream-syntax.ts';
import { FrameSource } from '../../extension/src/preview/frame-source.ts';
import { slideLevels } from '../../extension/src/preview/slide-levels.ts';
import { encodeFrame } from '../../server/src/codec/encode-frame.ts';
import { encodeJpegLs, encodeRle } from '../codec/encoders.ts';
import { testFrame } from '../codec/frames.ts';

describe('the transfer syntax of a frame', () => {
  const [columns, rows] = [40, 24];
  const picture = testFrame(columns, rows);
  const encode = (encoding: 'jpeg' | 'jpeg2000' | 'htj2k') =>
    encodeFrame(picture, { columns, rows, encoding, quality: 80 });

  test.each<[string, string, () => Promise<Uint8Array> | Uint8Array, [number, number]?]>([
    ['JPEG', '1.2.840.10008.1.2.4.50', () => encode('jpeg')],
    ['JPEG 2000', '1.2.840.10008.1.2.4.91', () => encode('jpeg2000')],
    // Only the decoder can tell them apart.
    ['HTJ2K', '1.2.840.10008.1.2.4.91', () => encode('htj2k')],
    ['JPEG-LS', '1.2.840.10008.1.2.4.81', () => encodeJpegLs(picture, columns, rows, 2)],
    [
      'JPEG-LS behind application data (SPIFF)',
      '1.2.840.10008.1.2.4.81',
      async () => {
        const frame = await encodeJpegLs(picture, columns, rows, 2);
        return Buffer.concat([
          frame.subarray(0, 2),
          Buffer.from('ffe80006', 'hex'),
          Buffer.from('SPIF'),
          frame.subarray(2),
        ]);
      },
    ],
    ['RLE', '1.2.840.10008.1.2.5', () => encodeRle(picture)],
    ['native pixels', '1.2.840.10008.1.2.1', () => picture],
    ['native pixels padded to even length', '1.2.840.10008.1.2.1', () => new Uint8Array(28), [3, 3]],
    [
      'native pixels that begin like a JPEG',
      '1.2.840.10008.1.2.1',
      () => new Uint8Array(27).fill(255),
      [3, 3],
    ],
    ['native pixels of two samples each', '1.2.840.10008.1.2.1', () => new Uint8Array(8).fill(255), [2, 2]],
  ])('%s', async (_name, uid, make, [width, height] = [columns, rows]) => {
    const layout = { columns: width, rows: height, photometricInterpretation: 'YBR_FULL_422' };
    expect(codestreamSyntax(await make(), layout)).toBe(uid);
  });
});

describe('frames', () => {
  const level = slideLevels([
    {
      SOPInstanceUID: '1.2',
      ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'],
      Columns: 16,
      Rows: 16,
      TotalPixelMatrixColumns: 160,
      TotalPixelMatrixRows: 160,
      NumberOfFrames: 100,
    },
  ])[0]!;
  const all = { x: 0, y: 0, width: 160, height: 160 };

  /** @param bytes the archive's answer, for each frame */
  function source(bytes = 8) {
    const asked: number[] = [];
    const running = { now: 0, max: 0 };
    const client = {
      headers: {},
      retrieveSeriesMetadata: async () => [],
      async retrieveInstanceFrames({ frameNumbers }: { frameNumbers: readonly number[] }) {
        asked.push(frameNumbers[0]!);
        running.max = Math.max(running.max, ++running.now);
        // An archive takes its time.
        await new Promise((resolve) => setTimeout(resolve, 1));
        running.now--;
        return [new ArrayBuffer(bytes)];
      },
    };
    const series = { studyInstanceUid: '1', seriesInstanceUid: '1.1' } as ConstructorParameters<
      typeof FrameSource
    >[0];
    return { frames: new FrameSource(series, () => client), asked, running };
  }

  test('are requested once, six at a time, whoever needs them', async () => {
    const { frames, asked, running } = source();
    const { signal } = new AbortController();
    const both = [frames.window(level, all, null, signal), frames.window(level, all, null, signal)];
    const windows = await Promise.all(both);
    expect(windows.map((window) => window.frames.length)).toEqual([100, 100]);
    expect(asked.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    expect(running.max).toBe(6);
  });

  test('are no longer requested when the view has moved; another view gets them', async () => {
    const { frames, asked } = source();
    const gone = new AbortController();
    const first = frames.window(level, all, null, gone.signal);
    const second = frames.window(
      level,
      { ...all, width: 32, height: 32 },
      null,
      new AbortController().signal,
    );
    gone.abort(new Error('moved'));
    await expect(first).rejects.toThrow('moved');
    expect((await second).frames).toHaveLength(4);
    expect(asked.length).toBeLessThan(12);
  });

  test('are kept while they fit into the memory for them; those used last stay', async () => {
    // Three fit.
    const { frames, asked } = source(10 << 20);
    const { signal } = new AbortController();
    for (const frame of [0, 1, 2, 0, 3, 0, 1])
      await frames.window(level, { ...all, x: frame * 16, width: 16, height: 16 }, null, signal);
    expect(asked).toEqual([1, 2, 3, 4, 2]);
  });

  test.each([
    ['larger than the memory for frames', 33 << 20],
    ['empty', 0],
  ])('that are %s are asked for once, for all windows over them', async (_name, bytes) => {
    const { frames, asked } = source(bytes);
    const { signal } = new AbortController();
    for (const x of [0, 8]) {
      const { frames: found } = await frames.window(level, { x, y: 0, width: 8, height: 8 }, null, signal);
      expect(found.map((frame) => frame.bytes.byteLength)).toEqual([bytes]);
    }
    expect(asked).toEqual([1]);
  });
});
