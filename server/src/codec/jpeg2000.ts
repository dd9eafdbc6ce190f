/**
 * JPEG 2000 (OpenJPEG) and High-Throughput JPEG 2000 (OpenJPH). Whether the components are transformed to
 * YCbCr is stated in the codestream (ITU-T T.800 A.6.1); the tag decides only where the codestream does not.
 */
import { type CodestreamFormat, type FrameFormat, invalidFrame, requireFormat, ybrFullToRgb } from './frame-format.ts';
import { type WasmDecoder, type WasmEncoder, decodeWith, encodeWith, loadOnce } from './wasm-codec.ts';

interface OpenJpegEncoder extends WasmEncoder {
  setQuality(reversible: boolean, rate: number): void;
  setDecompositions(levels: number): void;
}

const openJpeg = loadOnce<{ J2KDecoder: new () => WasmDecoder; J2KEncoder: new () => OpenJpegEncoder }>(
  '@cornerstonejs/codec-openjpeg/wasmjs',
  '@cornerstonejs/codec-openjpeg/wasm',
);
const openJph = loadOnce<{ HTJ2KDecoder: new () => WasmDecoder; HTJ2KEncoder: new () => OpenJpegEncoder }>(
  '@cornerstonejs/codec-openjph/wasmjs',
  '@cornerstonejs/codec-openjph/wasm',
);

export async function decodeJpeg2000(bytes: Uint8Array, format: FrameFormat): Promise<Uint8Array> {
  const { J2KDecoder } = await openJpeg();
  return decode(() => new J2KDecoder(), bytes, format);
}

export async function decodeHtj2k(bytes: Uint8Array, format: FrameFormat): Promise<Uint8Array> {
  const { HTJ2KDecoder } = await openJph();
  return decode(() => new HTJ2KDecoder(), bytes, format);
}

/** Lossless, with the reversible colour transform: Photometric Interpretation YBR_RCT. */
export async function encodeJpeg2000(rgb: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const encoder = new (await openJpeg()).J2KEncoder();
  encoder.setQuality(true, 0);
  encoder.setDecompositions(decompositions(width, height));
  return encodeWith(encoder, rgb, width, height);
}

/** Lossless, with the reversible colour transform: Photometric Interpretation YBR_RCT. */
export async function encodeHtj2k(rgb: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  const encoder = new (await openJph()).HTJ2KEncoder();
  encoder.setQuality(true, 0);
  encoder.setDecompositions(decompositions(width, height));
  return encodeWith(encoder, rgb, width, height);
}

/** Five wavelet levels as usual, fewer for a frame that is too small for them. */
function decompositions(width: number, height: number): number {
  return Math.max(0, Math.min(5, Math.floor(Math.log2(Math.min(width, height)))));
}

function decode(create: () => WasmDecoder, bytes: Uint8Array, format: FrameFormat): Uint8Array {
  const { transformed, ...found } = readHeader(bytes);
  requireFormat(found, format);
  return decodeWith(create(), bytes, format, (pixels) => {
    if (!transformed && format.photometricInterpretation === 'YBR_FULL') ybrFullToRgb(pixels);
    return pixels;
  });
}

/** SIZ and COD of a raw codestream, or of one inside a JP2 file (ITU-T T.800 A.5.1, A.6.1). */
function readHeader(bytes: Uint8Array): CodestreamFormat & { transformed: boolean } {
  const start = indexOfCodestream(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let size: CodestreamFormat | undefined;
  for (let at = start + 2; at + 4 <= bytes.length; ) {
    const marker = view.getUint16(at);
    const length = view.getUint16(at + 2);
    if (at + 2 + length > bytes.length || length < 2) break;
    if (marker === 0xff51 && length >= 41)
      size = {
        width: view.getUint32(at + 6) - view.getUint32(at + 14),
        height: view.getUint32(at + 10) - view.getUint32(at + 18),
        components: view.getUint16(at + 38),
        bitsPerSample: (bytes[at + 40]! & 0x7f) + 1,
      };
    if (marker === 0xff52 && size) return { ...size, transformed: bytes[at + 8] === 1 };
    if (marker === 0xff90) break; // the first tile-part: the main header is over
    at += 2 + length;
  }
  throw invalidFrame('A JPEG 2000 frame has a damaged header.');
}

function indexOfCodestream(bytes: Uint8Array): number {
  // SOC is followed by SIZ at once.
  for (let at = 0; at + 4 <= Math.min(bytes.length, 4096); at++)
    if (bytes[at] === 0xff && bytes[at + 1] === 0x4f && bytes[at + 2] === 0xff && bytes[at + 3] === 0x51) return at;
  throw invalidFrame('A frame is not a JPEG 2000 codestream.');
}
