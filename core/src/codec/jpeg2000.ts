/**
 * JPEG 2000 (OpenJPEG) and High-Throughput JPEG 2000 (OpenJPH). The codestream states which of the two it is, and
 * whether the decoder converts its components back to RGB (ITU-T T.800 A.5.1, A.6.1); converters are known to label one
 * with the transfer syntax of the other. The DICOM attribute says what the components are without that transform.
 */
import { type FrameFormat, requireFormat, ybrFullToRgb } from './frame-format.ts';
import { readJ2kHeader } from './jpeg2000-header.ts';
import { decodeWith, encodeWith, type WasmDecoder, type WasmEncoder, wasmCodec } from './wasm-codec.ts';

interface J2kEncoder extends WasmEncoder {
  setQuality(reversible: boolean, rate: number): void;
  setDecompositions(levels: number): void;
}

const openJpeg = wasmCodec<{ J2KDecoder: new () => WasmDecoder; J2KEncoder: new () => J2kEncoder }>(
  'openjpeg',
);
const openJph = wasmCodec<{ HTJ2KDecoder: new () => WasmDecoder; HTJ2KEncoder: new () => J2kEncoder }>(
  'openjph',
);

/** Decodes both kinds of codestream. @throws FRAME_INVALID, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED */
export async function decodeJpeg2000(bytes: Uint8Array, format: FrameFormat): Promise<Uint8Array> {
  const { size, colourTransform, isHighThroughput } = readJ2kHeader(bytes);
  requireFormat(size, format);
  const isYbr = !colourTransform && format.photometricInterpretation.startsWith('YBR_');
  const toRgb = (pixels: Uint8Array): Uint8Array => {
    if (isYbr) ybrFullToRgb(pixels);
    return pixels;
  };
  return isHighThroughput
    ? openJph(({ HTJ2KDecoder }) => decodeWith(HTJ2KDecoder, bytes, format, toRgb))
    : openJpeg(({ J2KDecoder }) => decodeWith(J2KDecoder, bytes, format, toRgb));
}

/** Lossless, with the reversible colour transform: Photometric Interpretation YBR_RCT. */
export async function encodeJpeg2000(rgb: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  return openJpeg(({ J2KEncoder }) => encodeLossless(new J2KEncoder(), rgb, width, height));
}

/** Lossless, with the reversible colour transform: Photometric Interpretation YBR_RCT. */
export async function encodeHtj2k(rgb: Uint8Array, width: number, height: number): Promise<Uint8Array> {
  return openJph(({ HTJ2KEncoder }) => encodeLossless(new HTJ2KEncoder(), rgb, width, height));
}

function encodeLossless(encoder: J2kEncoder, rgb: Uint8Array, width: number, height: number): Uint8Array {
  encoder.setQuality(true, 0);
  // Five wavelet levels as usual, fewer for a very small frame.
  encoder.setDecompositions(Math.min(5, Math.floor(Math.log2(Math.min(width, height)))));
  return encodeWith(encoder, rgb, width, height);
}
