/** Frames of every transfer syntax through the decoders, and ICC profiles. */
import '../../server/src/codec/node-codecs.ts';
import jpegTurbo from '@julusian/jpeg-turbo';
import { codestreamSyntax } from '../../core/src/codec/codestream-syntax.ts';
import { decodeFrame } from '../../core/src/codec/decode-frame.ts';
import { asYbrFull422 } from '../../core/src/codec/jpeg.ts';
import { encodeFrame } from '../../server/src/codec/encode-frame.ts';
import { srgbProfile } from '../../server/src/codec/icc.ts';
import { convertLattice } from '../../server/src/codec/icc-lattice.ts';
import { encodeJpegLs, encodeRle } from '../codec/encoders.ts';
import { frameFormat, testFrame, toPlanes } from '../codec/frames.ts';
import { ADOBE_RGB, matrixProfile } from '../codec/profiles.ts';
import type { Seed } from './mutate.ts';
import type { Target, Targets } from './targets.ts';

const SIZE = 32;
const rgb = testFrame(SIZE, SIZE);
const options = { rows: SIZE, columns: SIZE, quality: 90 };
const JPEG = '1.2.840.10008.1.2.4.50';

/** Markers, and everything within the header. */
function seedOf(bytes: Uint8Array, headerBytes: number): Seed {
  const markers = [...bytes.keys()].filter((at) => bytes[at] === 0xff);
  return { bytes, places: [...markers, ...Array.from({ length: headerBytes }, (_, at) => at)] };
}

function jpegOf(subsampling: number): Uint8Array {
  const format = { format: jpegTurbo.FORMAT_RGB, width: SIZE, height: SIZE, quality: 90, subsampling };
  return Uint8Array.from(jpegTurbo.compressSync(Buffer.from(rgb), format));
}

function target(transferSyntaxUid: string, count: number, seeds: readonly Seed[]): Target {
  const format = frameFormat(transferSyntaxUid, SIZE, SIZE, { photometricInterpretation: 'YBR_FULL_422' });
  return {
    count,
    seeds,
    async read(bytes) {
      codestreamSyntax(bytes, format);
      const pixels = await decodeFrame(bytes, format);
      if (pixels.length !== SIZE * SIZE * 3) throw new Error(`${pixels.length} bytes of pixels.`);
      if (transferSyntaxUid === JPEG) asYbrFull422(bytes, format);
    },
  };
}

export const frameTargets: Targets = {
  jpeg: async () =>
    target(
      JPEG,
      15_000,
      [jpegTurbo.SAMP_422, jpegTurbo.SAMP_420, jpegTurbo.SAMP_444].map((sampling) =>
        seedOf(jpegOf(sampling), 160),
      ),
    ),
  jpeg2000: async () =>
    target('1.2.840.10008.1.2.4.90', 4000, [
      seedOf(await encodeFrame(rgb, { ...options, encoding: 'jpeg2000' }), 120),
    ]),
  htj2k: async () =>
    target('1.2.840.10008.1.2.4.201', 4000, [
      seedOf(await encodeFrame(rgb, { ...options, encoding: 'htj2k' }), 120),
    ]),
  jpegls: async () =>
    target('1.2.840.10008.1.2.4.80', 1000, [
      seedOf(await encodeJpegLs(rgb, SIZE, SIZE, 2), 30),
      seedOf(await encodeJpegLs(toPlanes(rgb), SIZE, SIZE, 0), 30),
    ]),
  rle: async () => target('1.2.840.10008.1.2.5', 6000, [seedOf(encodeRle(rgb), 64)]),
  native: async () => target('1.2.840.10008.1.2.1', 1000, [seedOf(rgb.subarray(0, SIZE * SIZE * 2), 0)]),
  icc: async () => ({
    count: 300,
    seeds: [await srgbProfile(), matrixProfile(ADOBE_RGB, 2.2)].map((bytes) => seedOf(bytes, 300)),
    // As in the process that does it for the product: a crash is what is looked for, an error is an answer.
    read: async (bytes) => void (await convertLattice(bytes).catch(() => {})),
  }),
};
