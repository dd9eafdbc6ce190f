import '../../../server/src/codec/node-codecs.ts';
import { describe, expect, it } from 'vitest';
import { decodeFrame } from '../../../core/src/codec/decode-frame.ts';
import type { StoredFrame } from '../../../core/src/codec/frame-format.ts';
import { encodeHtj2k } from '../../../core/src/codec/jpeg2000.ts';
import {
  coloursByGlass as byGlass,
  isDoubtful,
  withColours,
} from '../../../core/src/codec/native-colours.ts';
import { encodeJpegLs, encodeRle, encodeUntransformed } from '../../codec/encoders.ts';
import { frameFormat, testFrame, toPlanes, toYbrFull } from '../../codec/frames.ts';

const NATIVE = '1.2.840.10008.1.2.1';
const RLE = '1.2.840.10008.1.2.5';
const JPEG_LS = '1.2.840.10008.1.2.4.80';
const HTJ2K = '1.2.840.10008.1.2.4.201';

/** Tissue, with a strip of glass that is tinted like that of cameras. */
function slide(glassRows: number): Uint8Array {
  const rgb = testFrame(64, 64);
  for (let i = 0; i < glassRows * 64; i++) rgb.set([245, 241, 232], i * 3);
  return rgb;
}

async function* frames(
  all: readonly Uint8Array[],
  planarConfiguration: number,
  transferSyntaxUid = NATIVE,
): AsyncIterable<StoredFrame> {
  const named = { photometricInterpretation: 'YBR_FULL_422', planarConfiguration };
  for (const bytes of all) yield { format: frameFormat(transferSyntaxUid, 64, 64, named), bytes };
}

const coloursByGlass = (doubtful: AsyncIterable<StoredFrame>) =>
  byGlass(doubtful, ({ bytes, format }) => decodeFrame(bytes, format));

describe('colours of samples', () => {
  it('are determined from the glass, by pixel and by plane', async () => {
    const rgb = slide(4);
    expect(await coloursByGlass(frames([rgb], 0))).toBe('RGB');
    expect(await coloursByGlass(frames([toPlanes(rgb)], 1))).toBe('RGB');
    expect(await coloursByGlass(frames([toYbrFull(rgb)], 0))).toBe('YBR_FULL');
    expect(await coloursByGlass(frames([toPlanes(toYbrFull(rgb))], 1))).toBe('YBR_FULL');
  });

  it('are determined from the glass in RLE and JPEG-LS', async () => {
    const rgb = slide(4);
    expect(await coloursByGlass(frames([encodeRle(rgb)], 1, RLE))).toBe('RGB');
    expect(await coloursByGlass(frames([encodeRle(toYbrFull(rgb))], 1, RLE))).toBe('YBR_FULL');
    const jpegLs = await encodeJpegLs(toYbrFull(rgb), 64, 64, 2);
    expect(await coloursByGlass(frames([jpegLs], 0, JPEG_LS))).toBe('YBR_FULL');
  });

  it('are not guessed without glass', async () => {
    expect(await coloursByGlass(frames([slide(0)], 0))).toBeUndefined();
    expect(await coloursByGlass(frames([], 0))).toBeUndefined();
  });

  it('are determined from the first frames, however many there are', async () => {
    let read = 0;
    async function* endless(): AsyncIterable<StoredFrame> {
      for (; read < 1000; read++) yield* frames([slide(4)], 0);
    }
    expect(await coloursByGlass(endless())).toBe('RGB');
    expect(read).toBeLessThan(100);
  });

  it('are refused if neither glass nor name determines them', () => {
    const named = (photometricInterpretation: string) =>
      frameFormat(NATIVE, 3, 3, { photometricInterpretation });
    expect(withColours(named('YBR_ICT'), 'RGB').photometricInterpretation).toBe('RGB');
    expect(withColours(named('YBR_FULL'), undefined).photometricInterpretation).toBe('YBR_FULL');
    expect(() => withColours(named('YBR_FULL_422'), undefined)).toThrow(/no glass/);
  });

  it('are in doubt if a YCbCr name is given to as many samples as RGB has', () => {
    const named = (photometricInterpretation: string) =>
      frameFormat(NATIVE, 3, 3, { photometricInterpretation });
    expect(isDoubtful(named('YBR_FULL_422'), new Uint8Array(27))).toBe(true);
    expect(isDoubtful(named('YBR_FULL_422'), new Uint8Array(28))).toBe(true);
    expect(isDoubtful(named('YBR_FULL_422'), new Uint8Array(18))).toBe(false);
    expect(isDoubtful(named('RGB'), new Uint8Array(27))).toBe(false);
  });

  it('are in doubt if RLE or JPEG-LS have the name of subsampled or transformed colours', () => {
    const named = (uid: string, photometricInterpretation: string) =>
      frameFormat(uid, 3, 3, { photometricInterpretation });
    for (const uid of [RLE, JPEG_LS]) {
      expect(isDoubtful(named(uid, 'YBR_FULL_422'), new Uint8Array(20))).toBe(true);
      expect(isDoubtful(named(uid, 'YBR_ICT'), new Uint8Array(20))).toBe(true);
      expect(isDoubtful(named(uid, 'YBR_FULL'), new Uint8Array(20))).toBe(false);
      expect(isDoubtful(named(uid, 'RGB'), new Uint8Array(20))).toBe(false);
    }
    expect(isDoubtful(named('1.2.840.10008.1.2.4.50', 'YBR_FULL_422'), new Uint8Array(27))).toBe(false);
  });

  it('are in doubt if JPEG 2000 has the name of a colour transform that its codestream lacks', async () => {
    const named = (photometricInterpretation: string) =>
      frameFormat(HTJ2K, 64, 64, { photometricInterpretation });
    const [plain, transformed] = [
      await encodeUntransformed(slide(4), 64, 64),
      await encodeHtj2k(slide(4), 64, 64),
    ];
    for (const name of ['YBR_RCT', 'YBR_ICT', 'YBR_FULL_422']) {
      expect(isDoubtful(named(name), plain)).toBe(true);
      expect(isDoubtful(named(name), transformed)).toBe(false);
      expect(isDoubtful(named(name), plain.subarray(0, 30))).toBe(false);
      // Such frames of scanners hold YCbCr.
      expect(withColours(named(name), undefined).photometricInterpretation).toBe('YBR_FULL');
    }
    for (const name of ['RGB', 'YBR_FULL']) expect(isDoubtful(named(name), plain)).toBe(false);
    expect(await coloursByGlass(frames([plain], 0, HTJ2K))).toBe('RGB');
    const ycbcr = await encodeUntransformed(toYbrFull(slide(4)), 64, 64);
    expect(await coloursByGlass(frames([ycbcr], 0, HTJ2K))).toBe('YBR_FULL');
  });
});
