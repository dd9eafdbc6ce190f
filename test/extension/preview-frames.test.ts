/** How the preview comes by frames: which encoding they have, how many are asked for at a time, what is kept. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteCache } from '../../extension/src/preview/byte-cache.ts';
import { FrameSource } from '../../extension/src/preview/frame-source.ts';
import { slideLevels } from '../../extension/src/preview/slide-levels.ts';
import { transferSyntaxOf } from '../../server/src/codec/codestream-syntax.ts';
import { encodeFrame } from '../../server/src/codec/encode-frame.ts';
import { encodeJpegLs, encodeRle } from '../codec/encoders.ts';
import { testFrame } from '../codec/frames.ts';

describe('the transfer syntax of a frame', () => {
  const [columns, rows] = [40, 24];
  const picture = testFrame(columns, rows);
  const encode = (encoding: 'jpeg' | 'jpeg2000' | 'htj2k') =>
    encodeFrame(picture, { columns, rows, encoding, quality: 80 });

  test.each<[string, string, () => Promise<Uint8Array> | Uint8Array, number?]>([
    ['JPEG', '1.2.840.10008.1.2.4.50', () => encode('jpeg')],
    ['JPEG 2000', '1.2.840.10008.1.2.4.91', () => encode('jpeg2000')],
    // The decoder itself tells the two apart.
    ['HTJ2K', '1.2.840.10008.1.2.4.91', () => encode('htj2k')],
    ['JPEG-LS', '1.2.840.10008.1.2.4.81', () => encodeJpegLs(picture, columns, rows, 2)],
    ['RLE', '1.2.840.10008.1.2.5', () => encodeRle(picture)],
    ['native pixels', '1.2.840.10008.1.2.1', () => picture],
    ['native pixels padded to even length', '1.2.840.10008.1.2.1', () => new Uint8Array(28), 27],
    ['native pixels that begin like a JPEG', '1.2.840.10008.1.2.1', () => new Uint8Array(27).fill(255), 27],
  ])('%s', async (_name, uid, make, size = picture.length) => {
    expect(transferSyntaxOf(await make(), size)).toBe(uid);
  });
});

test('what is kept is never more than allowed, and what goes is released once', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ key: fc.stringMatching(/^[a-f]$/), bytes: fc.integer({ min: 1, max: 50 }) })),
      (steps) => {
        const held = new Set<number>();
        const cache = new ByteCache<{ id: number; bytes: number }>(100, ({ id }) => {
          expect(held.delete(id)).toBe(true);
        });
        for (const [id, { key, bytes }] of steps.entries()) {
          held.add(id);
          cache.set(key, { id, bytes }, bytes);
          const kept = [...cache.values()];
          expect(kept.reduce((sum, one) => sum + one.bytes, 0)).toBeLessThanOrEqual(100);
          expect(new Set(kept.map((one) => one.id))).toEqual(held);
          expect(cache.get(key)?.id).toBe(id);
        }
        cache.clear();
        expect(held.size).toBe(0);
      },
    ),
  );
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

  function source() {
    const asked: number[] = [];
    const running = { now: 0, most: 0 };
    const client = {
      headers: {},
      retrieveSeriesMetadata: async () => [],
      async retrieveInstanceFrames({ frameNumbers }: { frameNumbers: readonly number[] }) {
        asked.push(frameNumbers[0]!);
        running.most = Math.max(running.most, ++running.now);
        await new Promise((resolve) => setTimeout(resolve, 1));
        running.now--;
        return [new ArrayBuffer(8)];
      },
    };
    const series = { studyInstanceUid: '1', seriesInstanceUid: '1.1' } as ConstructorParameters<
      typeof FrameSource
    >[0];
    return { frames: new FrameSource(series, () => client), asked, running };
  }

  test('are asked for once, six at a time, whoever needs them', async () => {
    const { frames, asked, running } = source();
    const { signal } = new AbortController();
    const both = [frames.window(level, all, null, signal), frames.window(level, all, null, signal)];
    const windows = await Promise.all(both);
    expect(windows.map((window) => window.frames.length)).toEqual([100, 100]);
    expect(asked.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
    expect(running.most).toBe(6);
  });

  test('are not asked for any more when the view has moved; another view gets them', async () => {
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
});
