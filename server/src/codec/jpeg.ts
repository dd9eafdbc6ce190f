/**
 * JPEG baseline by libjpeg-turbo, in the build that browsers run as well: the accurate inverse DCT, so that a preview
 * sees the pixels that the server sees. The colour space is the one that the codestream's own markers state (Adobe
 * transform, JFIF, component identifiers), which is what libjpeg goes by; the DICOM tag is often wrong.
 */
import { type CodestreamFormat, type FrameFormat, invalidFrame, requireFormat } from './frame-format.ts';
import { decodeWith, type WasmDecoder, wasmCodec } from './wasm-codec.ts';

const SOI = 0xd8;
/** Tables, application data, comments, restart interval: what may stand before the frame header. */
const SKIPPED = new Set([0xc4, 0xcc, 0xdb, 0xdd, 0xfe, ...Array.from({ length: 16 }, (_, n) => 0xe0 + n)]);
/** SOF0 and SOF1. */
const SEQUENTIAL_HUFFMAN = new Set([0xc0, 0xc1]);

const libjpegTurbo = wasmCodec<{ JPEGDecoder: new () => WasmDecoder }>('libjpeg-turbo');

/** libjpeg's warnings are errors here: it would fill what is missing or unreadable with grey and go on. */
export async function decodeJpeg(bytes: Uint8Array, format: FrameFormat): Promise<Uint8Array> {
  requireFormat(readHeader(bytes), format);
  return libjpegTurbo(({ JPEGDecoder }) => decodeWith(JPEGDecoder, bytes, format, (pixels) => pixels));
}

/**
 * Frame header (SOF) of a baseline or extended sequential codestream (ITU-T T.81 B.2.2). It must be the one that
 * libjpeg finds, as the binding computes its buffer in 32 bits: no marker is passed over that libjpeg reads otherwise.
 */
function readHeader(bytes: Uint8Array): CodestreamFormat {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) throw invalidFrame('A frame is not a JPEG codestream.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 2;
  while (at + 10 <= bytes.length) {
    if (bytes[at] !== 0xff) throw invalidFrame('A JPEG frame has a damaged header.');
    const marker = bytes[at + 1]!;
    if (SEQUENTIAL_HUFFMAN.has(marker))
      return {
        bitsPerSample: bytes[at + 4]!,
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components: bytes[at + 9]!,
      };
    if (marker === 0xff) {
      at++; // fill byte
    } else if (SKIPPED.has(marker) && view.getUint16(at + 2) >= 2) {
      at += 2 + view.getUint16(at + 2);
    } else {
      throw invalidFrame(`A frame is not baseline JPEG (marker FF${marker.toString(16).toUpperCase()}).`);
    }
  }
  throw invalidFrame('A JPEG frame ends within its header.');
}

/**
 * Whether a codestream is baseline (SOF0) with three components in YCbCr, by the rules of libjpeg: JFIF means YCbCr,
 * then Adobe's transform flag, then the component identifiers. @throws FRAME_INVALID
 */
export function isYcbcrBaseline(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let isJfif = false;
  let adobeTransform: number | undefined;
  for (let at = 2; at + 20 <= bytes.length; ) {
    const marker = bytes[at + 1]!;
    const payload = at + 4;
    const text = (length: number): string =>
      String.fromCharCode(...bytes.subarray(payload, payload + length));
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (SEQUENTIAL_HUFFMAN.has(marker)) {
      if (marker !== 0xc0 || bytes[at + 9] !== 3) return false;
      if (isJfif) return true;
      if (adobeTransform !== undefined) return adobeTransform === 1;
      return String.fromCharCode(bytes[at + 10]!, bytes[at + 13]!, bytes[at + 16]!) !== 'RGB';
    }
    if (!SKIPPED.has(marker)) break;
    if (marker === 0xe0 && text(5) === 'JFIF\0') isJfif = true;
    if (marker === 0xee && text(5) === 'Adobe') adobeTransform = bytes[payload + 11];
    at += 2 + view.getUint16(at + 2);
  }
  throw invalidFrame('A frame is not baseline JPEG.');
}
