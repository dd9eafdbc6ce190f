import '../../../server/src/codec/node-codecs.ts';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import { encodeFrame } from '../../../server/src/codec/encode-frame.ts';
import { encodeJpegLs, encodeRle } from '../../codec/encoders.ts';
import { frameFormat, largestDifference, testFrame, toPlanes, toYbrFull } from '../../codec/frames.ts';
import { runs } from '../../support/property-runs.ts';

const J2K = '1.2.840.10008.1.2.4.90';
const HTJ2K = '1.2.840.10008.1.2.4.201';
const JPEG_LS = '1.2.840.10008.1.2.4.80';
const RLE = '1.2.840.10008.1.2.5';
const NATIVE = '1.2.840.10008.1.2.1';

const sizes = fc.record({
  columns: fc.integer({ min: 1, max: 90 }),
  rows: fc.integer({ min: 1, max: 90 }),
  seed: fc.nat(),
});
const noise = (length: number, seed: number): Uint8Array => {
  let state = seed >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
};

describe.each([
  ['jpeg2000', J2K],
  ['htj2k', HTJ2K],
] as const)('%s', (encoding, uid) => {
  it('reproduces every frame exactly, of any size', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async ({ columns, rows, seed }, flat) => {
        const rgb = flat ? testFrame(columns, rows, seed) : noise(columns * rows * 3, seed);
        const bytes = await encodeFrame(rgb, { columns, rows, encoding, quality: 90 });
        expect(await decodeFrame(bytes, frameFormat(uid, columns, rows))).toEqual(rgb);
      }),
      { numRuns: runs(60) },
    );
  });

  it('trusts the codestream: a transformed frame is RGB, whatever the header says', async () => {
    const rgb = testFrame(40, 30);
    const bytes = await encodeFrame(rgb, { columns: 40, rows: 30, encoding, quality: 90 });
    for (const photometricInterpretation of ['RGB', 'YBR_RCT', 'YBR_FULL'])
      expect(await decodeFrame(bytes, frameFormat(uid, 40, 30, { photometricInterpretation }))).toEqual(rgb);
  });

  it('uses the tag if the codestream has no colour transform', async () => {
    const rgb = testFrame(40, 30);
    const bytes = await encodeFrame(rgb, { columns: 40, rows: 30, encoding, quality: 90 });
    const cod = Buffer.from(bytes).indexOf(Buffer.from('ff52', 'hex'));
    expect(bytes[cod + 8]).toBe(1);
    bytes[cod + 8] = 0;
    const stored = await decodeFrame(bytes, frameFormat(uid, 40, 30));
    const converted = await decodeFrame(
      bytes,
      frameFormat(uid, 40, 30, { photometricInterpretation: 'YBR_FULL' }),
    );
    expect(largestDifference(stored, rgb)).toBeGreaterThan(20);
    expect(largestDifference(converted, stored)).toBeGreaterThan(20);
  });

  it('refuses truncated frames', async () => {
    const bytes = await encodeFrame(testFrame(64, 64), { columns: 64, rows: 64, encoding, quality: 90 });
    for (let missing = 1; missing < bytes.length; missing += 97)
      await expect(decodeFrame(bytes.subarray(0, -missing), frameFormat(uid, 64, 64))).rejects.toMatchObject({
        code: 'FRAME_INVALID',
      });
  });

  it('accepts a byte of padding', async () => {
    const rgb = testFrame(64, 64);
    const bytes = await encodeFrame(rgb, { columns: 64, rows: 64, encoding, quality: 90 });
    expect(await decodeFrame(Buffer.concat([bytes, Buffer.alloc(1)]), frameFormat(uid, 64, 64))).toEqual(rgb);
  });

  it('refuses another size, other samples and a swarm of tiles before it decodes', async () => {
    const bytes = Buffer.from(
      await encodeFrame(testFrame(64, 64), { columns: 64, rows: 64, encoding, quality: 90 }),
    );
    await expect(decodeFrame(bytes, frameFormat(uid, 64, 63))).rejects.toMatchObject({
      code: 'FRAME_SIZE_MISMATCH',
    });
    const patched = (offset: number, value: number): Buffer => {
      const copy = Buffer.from(bytes);
      copy.writeUInt32BE(value, 2 + offset);
      return copy;
    };
    await expect(decodeFrame(patched(6, 0xffffffff), frameFormat(uid, 64, 64))).rejects.toMatchObject({
      code: 'FRAME_INVALID',
    });
    await expect(decodeFrame(patched(22, 0), frameFormat(uid, 64, 64))).rejects.toMatchObject({
      code: 'FRAME_INVALID',
    });
    const signed = Buffer.from(bytes);
    signed[2 + 40] = 0x87;
    await expect(decodeFrame(signed, frameFormat(uid, 64, 64))).rejects.toMatchObject({
      code: 'PIXEL_FORMAT_UNSUPPORTED',
    });
    const subsampled = Buffer.from(bytes);
    subsampled[2 + 44] = 2;
    await expect(decodeFrame(subsampled, frameFormat(uid, 64, 64))).rejects.toMatchObject({
      code: 'PIXEL_FORMAT_UNSUPPORTED',
    });
  });
});

describe('JPEG-LS', () => {
  it.each([0, 1, 2] as const)('decodes interleave mode %i exactly', async (mode) => {
    const rgb = testFrame(53, 31);
    const bytes = await encodeJpegLs(mode === 0 ? toPlanes(rgb) : rgb, 53, 31, mode);
    expect(await decodeFrame(bytes, frameFormat(JPEG_LS, 53, 31))).toEqual(rgb);
  });

  it('converts if the header says YBR_FULL', async () => {
    const rgb = testFrame(32, 32);
    const bytes = await encodeJpegLs(toYbrFull(rgb), 32, 32, 2);
    const decoded = await decodeFrame(
      bytes,
      frameFormat(JPEG_LS, 32, 32, { photometricInterpretation: 'YBR_FULL' }),
    );
    expect(largestDifference(decoded, rgb)).toBeLessThanOrEqual(2);
  });

  it('refuses another size and a truncated frame, and decodes the next one', async () => {
    const rgb = testFrame(64, 64);
    const bytes = await encodeJpegLs(rgb, 64, 64, 2);
    await expect(decodeFrame(bytes, frameFormat(JPEG_LS, 32, 64))).rejects.toMatchObject({
      code: 'FRAME_SIZE_MISMATCH',
    });
    for (const missing of [3, 50, 2000])
      await expect(
        decodeFrame(bytes.subarray(0, -missing), frameFormat(JPEG_LS, 64, 64)),
      ).rejects.toMatchObject({ code: 'FRAME_INVALID' });
    expect(await decodeFrame(bytes, frameFormat(JPEG_LS, 64, 64))).toEqual(rgb);
  });
});

describe('RLE', () => {
  it('reproduces every frame exactly, of any size', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), async ({ columns, rows, seed }, flat) => {
        const rgb = flat ? new Uint8Array(columns * rows * 3).fill(seed) : testFrame(columns, rows, seed);
        expect(await decodeFrame(encodeRle(rgb), frameFormat(RLE, columns, rows))).toEqual(rgb);
      }),
    );
  });

  it('converts if the header says YBR_FULL', async () => {
    const rgb = testFrame(32, 32);
    const decoded = await decodeFrame(
      encodeRle(toYbrFull(rgb)),
      frameFormat(RLE, 32, 32, { photometricInterpretation: 'YBR_FULL' }),
    );
    expect(largestDifference(decoded, rgb)).toBeLessThanOrEqual(2);
  });

  it('refuses segments that are truncated, too long, or outside the frame', async () => {
    const bytes = encodeRle(testFrame(32, 32));
    const format = frameFormat(RLE, 32, 32);
    const outside = Buffer.from(bytes);
    outside.writeUInt32LE(0x7fffffff, 8);
    const oneSegment = Buffer.from(bytes);
    oneSegment.writeUInt32LE(1, 0);
    for (const damaged of [bytes.subarray(0, -40), bytes.subarray(0, 30), outside, oneSegment])
      await expect(decodeFrame(damaged, format)).rejects.toMatchObject({ code: 'FRAME_INVALID' });
    await expect(decodeFrame(bytes, frameFormat(RLE, 32, 31))).rejects.toMatchObject({
      code: 'FRAME_INVALID',
    });
  });
});

describe('uncompressed', () => {
  const rgb = testFrame(34, 21);

  it.each([
    ['interleaved', rgb, { planarConfiguration: 0 }],
    ['planes', toPlanes(rgb), { planarConfiguration: 1 }],
  ])('takes RGB as it is: %s', async (_name, bytes, more) => {
    expect(await decodeFrame(bytes, frameFormat(NATIVE, 34, 21, more))).toEqual(rgb);
  });

  it.each([
    ['interleaved', toYbrFull(rgb), 0],
    ['planes', toPlanes(toYbrFull(rgb)), 1],
  ])('converts YBR_FULL: %s', async (_name, bytes, planarConfiguration) => {
    const format = frameFormat(NATIVE, 34, 21, {
      planarConfiguration,
      photometricInterpretation: 'YBR_FULL',
    });
    expect(largestDifference(await decodeFrame(bytes, format), rgb)).toBeLessThanOrEqual(2);
  });

  it('converts YBR_FULL_422', async () => {
    const flat = Uint8Array.from({ length: 8 * 3 }, (_, i) => [180, 90, 160][i % 3]!);
    const ybr = toYbrFull(flat);
    const subsampled = Uint8Array.from({ length: 16 }, (_, i) => [ybr[0], ybr[0], ybr[1], ybr[2]][i % 4]!);
    const format = frameFormat(NATIVE, 4, 2, { photometricInterpretation: 'YBR_FULL_422' });
    expect(largestDifference(await decodeFrame(subsampled, format), flat)).toBeLessThanOrEqual(2);
  });

  it("leaves the caller's bytes unchanged", async () => {
    const before = rgb.slice();
    const decoded = await decodeFrame(rgb, frameFormat(NATIVE, 34, 21));
    decoded.fill(0);
    expect(rgb).toEqual(before);
  });

  it('refuses a wrong number of bytes', async () => {
    for (const length of [0, rgb.length - 1, rgb.length + 2])
      await expect(decodeFrame(new Uint8Array(length), frameFormat(NATIVE, 34, 21))).rejects.toMatchObject({
        code: 'FRAME_INVALID',
      });
  });
});

it('refuses transfer syntaxes without a decoder', async () => {
  for (const uid of ['1.2.840.10008.1.2.4.70', '1.2.840.10008.1.2.2', '', 'constructor'])
    await expect(decodeFrame(new Uint8Array(9), frameFormat(uid, 1, 1))).rejects.toMatchObject({
      code: 'TRANSFER_SYNTAX_UNSUPPORTED',
    });
});
