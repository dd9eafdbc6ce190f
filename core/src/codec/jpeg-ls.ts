/** JPEG-LS with CharLS (ITU-T T.87). The codestream does not state its colour space, so the DICOM attribute decides. */
import {
  type CodestreamFormat,
  type FrameFormat,
  interleave,
  invalidFrame,
  requireFormat,
  ybrFullToRgb,
} from './frame-format.ts';
import { decodeWith, type WasmDecoder, wasmCodec } from './wasm-codec.ts';

interface CharlsDecoder extends WasmDecoder {
  /** 0: by plane, 1: by line, 2: by sample. */
  getInterleaveMode(): number;
}

const charls = wasmCodec<{ JpegLSDecoder: new () => CharlsDecoder }>('charls');

export async function decodeJpegLs(bytes: Uint8Array, format: FrameFormat): Promise<Uint8Array> {
  requireFormat(readHeader(bytes), format);
  const end = requireEnd(bytes);
  const decode = (codestream: Uint8Array): Promise<Uint8Array> =>
    charls(({ JpegLSDecoder }) =>
      decodeWith(JpegLSDecoder, codestream, format, (decoded, decoder) => {
        const pixels = decoder.getInterleaveMode() === 0 ? interleave(decoded) : decoded;
        if (format.photometricInterpretation === 'YBR_FULL') ybrFullToRgb(pixels);
        return pixels;
      }),
    );
  try {
    return await decode(bytes);
  } catch (error) {
    // Some encoders pad the data, but not what follows the end marker, to an even length. Only CharLS objects to that.
    if (bytes[end - 3] !== 0) throw error;
    return decode(withoutByte(bytes, end - 3));
  }
}

function withoutByte(bytes: Uint8Array, at: number): Uint8Array {
  const shorter = bytes.slice(0, -1);
  shorter.set(bytes.subarray(at + 1), at);
  return shorter;
}

/** Frame header SOF55 (ITU-T T.87 C.2.2). */
function readHeader(bytes: Uint8Array): CodestreamFormat {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) throw invalidFrame('A frame is not a JPEG-LS codestream.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 2; at + 10 <= bytes.length && bytes[at] === 0xff; at += 2 + view.getUint16(at + 2)) {
    if (bytes[at + 1] === 0xf7)
      return {
        bitsPerSample: bytes[at + 4]!,
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components: bytes[at + 9]!,
      };
    if (bytes[at + 1] === 0xda) break;
  }
  throw invalidFrame('A JPEG-LS frame has a damaged header.');
}

/**
 * Offset after the end marker (EOI), before any padding. CharLS detects a truncated codestream, but it may first count
 * missing bits for five seconds.
 */
function requireEnd(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 2 && bytes[end - 1] === 0) end--;
  if (bytes[end - 2] !== 0xff || bytes[end - 1] !== 0xd9) throw invalidFrame('A JPEG-LS frame is truncated.');
  return end;
}
