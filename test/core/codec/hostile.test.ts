/**
 * Damaged codestreams give an error of the table or a frame of the right size, never a crash, a hang or another error.
 */
import '../../../server/src/codec/node-codecs.ts';
import jpegTurbo from '@julusian/jpeg-turbo';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import { StainError } from '../../../core/src/errors.ts';
import { encodeFrame } from '../../../server/src/codec/encode-frame.ts';
import { encodeJpegLs, encodeRle } from '../../codec/encoders.ts';
import { frameFormat, testFrame } from '../../codec/frames.ts';
import { runs } from '../../support/property-runs.ts';

const SIZE = 48;
const rgb = testFrame(SIZE, SIZE);
const options = { rows: SIZE, columns: SIZE, quality: 90 };
const CODES = ['FRAME_INVALID', 'FRAME_SIZE_MISMATCH', 'PIXEL_FORMAT_UNSUPPORTED'];

const codestreams = {
  'JPEG 4:2:2': ['1.2.840.10008.1.2.4.50', await encodeFrame(rgb, { ...options, encoding: 'jpeg' })],
  'JPEG 4:2:0': [
    '1.2.840.10008.1.2.4.50',
    jpegTurbo.compressSync(Buffer.from(rgb), {
      format: jpegTurbo.FORMAT_RGB,
      width: SIZE,
      height: SIZE,
      subsampling: jpegTurbo.SAMP_420,
    }),
  ],
  'JPEG 2000': ['1.2.840.10008.1.2.4.90', await encodeFrame(rgb, { ...options, encoding: 'jpeg2000' })],
  HTJ2K: ['1.2.840.10008.1.2.4.201', await encodeFrame(rgb, { ...options, encoding: 'htj2k' })],
  RLE: ['1.2.840.10008.1.2.5', encodeRle(rgb)],
} as const;

async function requireHarmless(uid: string, bytes: Uint8Array): Promise<void> {
  try {
    expect((await decodeFrame(bytes, frameFormat(uid, SIZE, SIZE))).length).toBe(SIZE * SIZE * 3);
  } catch (error) {
    if (!(error instanceof StainError)) throw error;
    expect(CODES).toContain(error.code);
  }
}

/** Thousandths of the bytes. Not doubles, which cluster near 0. */
const upTo = (max: number): fc.Arbitrary<number> => fc.noBias(fc.nat(max)).map((place) => place / 1000);

/** Bytes replaced at random offsets, many of them in the header, where they do most harm. */
const damage = fc.array(
  fc.record({
    place: fc.oneof(upTo(50), upTo(1000)),
    value: fc.integer({ min: 0, max: 255 }),
  }),
  { minLength: 1, maxLength: 6 },
);

describe.each(Object.entries(codestreams))('%s', (_name, [uid, intact]) => {
  it('survives replaced bytes', async () => {
    await fc.assert(
      fc.asyncProperty(damage, async (changes) => {
        const bytes = Uint8Array.from(intact);
        for (const { place, value } of changes) bytes[Math.floor(place * (bytes.length - 1))] = value;
        await requireHarmless(uid, bytes);
      }),
      { numRuns: runs(150) },
    );
  });

  it('refuses every truncation that loses pixels', async () => {
    const format = frameFormat(uid, SIZE, SIZE);
    const whole = await decodeFrame(intact, format);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: intact.length - 2 }), async (length) => {
        const outcome = await decodeFrame(intact.slice(0, length), format).catch((error) => error.code);
        if (typeof outcome === 'string') expect(outcome).toBe('FRAME_INVALID');
        else expect(outcome).toEqual(whole);
      }),
    );
  });

  it('survives noise', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), (bytes) => requireHarmless(uid, bytes)),
    );
  });

  it('decodes intact frames as before afterwards', async () => {
    const before = await decodeFrame(intact.slice(), frameFormat(uid, SIZE, SIZE));
    await decodeFrame(intact.slice(0, -20), frameFormat(uid, SIZE, SIZE)).catch(() => {});
    expect(await decodeFrame(intact.slice(), frameFormat(uid, SIZE, SIZE))).toEqual(before);
  });
});

describe('JPEG-LS', () => {
  // Fewer runs than the others: CharLS may count bits for seconds in a damaged codestream.
  it('refuses every truncation', async () => {
    const intact = await encodeJpegLs(rgb, SIZE, SIZE, 2);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: intact.length - 1 }), async (length) => {
        const truncated = decodeFrame(
          intact.slice(0, length),
          frameFormat('1.2.840.10008.1.2.4.80', SIZE, SIZE),
        );
        await expect(truncated).rejects.toMatchObject({ code: 'FRAME_INVALID' });
      }),
    );
  });

  it('survives a damaged header', async () => {
    const intact = await encodeJpegLs(rgb, SIZE, SIZE, 2);
    for (let at = 0; at < 25; at++) {
      const bytes = intact.slice();
      bytes[at]! ^= 0xff;
      await requireHarmless('1.2.840.10008.1.2.4.80', bytes);
    }
  });
});

describe('the size that a header announces', () => {
  it.each(Object.entries(codestreams))(
    'is refused beyond 100 megapixels: %s',
    async (_name, [uid, intact]) => {
      const decoded = decodeFrame(intact.slice(), frameFormat(uid, 10_001, 10_000));
      await expect(decoded).rejects.toMatchObject({
        code: 'FRAME_INVALID',
        message: expect.stringContaining('10001 x 10000'),
      });
    },
  );

  it.each([0, -1, 1.5, Number.NaN])('is refused as %s', async (rows) => {
    const decoded = decodeFrame(new Uint8Array(4), frameFormat('1.2.840.10008.1.2.1', 2, rows));
    await expect(decoded).rejects.toMatchObject({ code: 'FRAME_INVALID' });
  });

  it('allocates nothing for an RLE frame that cannot have that many pixels', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const decoded = decodeFrame(encodeRle(rgb), frameFormat('1.2.840.10008.1.2.5', 10_000, 10_000));
    const during = process.memoryUsage().arrayBuffers;
    await expect(decoded).rejects.toMatchObject({ code: 'FRAME_INVALID' });
    expect(during - before).toBeLessThan(50e6);
  });
});
