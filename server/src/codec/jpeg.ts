/**
 * JPEG baseline by libjpeg-turbo, in the build that browsers run as well: the accurate inverse DCT, so that a preview
 * sees the pixels that the server sees. The colour space is the one that the codestream's own markers state (Adobe
 * transform, JFIF, component identifiers), which is what libjpeg goes by; the DICOM tag is often wrong.
 */
import { type CodestreamFormat, type FrameFormat, invalidFrame, requireFormat } from './frame-format.ts';
import { decodeWith, type WasmDecoder, wasmCodec } from './wasm-codec.ts';

const SOI = 0xd8;
const EOI = 0xd9;
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

/** What the markers of a codestream say before the first scan. */
interface JpegHeader extends CodestreamFormat {
  /** SOF0. */
  readonly isBaseline: boolean;
  /** By the rules of libjpeg for three components: JFIF, then Adobe's transform flag, then the component identifiers. */
  readonly isYcbcr: boolean;
  /** Sampling factors of the three components as 4:2:2 has them. */
  readonly is422: boolean;
}

/**
 * Frame header (SOF) of a baseline or extended sequential codestream (ITU-T T.81 B.2.2). It must be the one that
 * libjpeg finds, as the binding computes its buffer in 32 bits: no marker is passed over that libjpeg reads otherwise.
 */
function readHeader(bytes: Uint8Array): JpegHeader {
  if (bytes[0] !== 0xff || bytes[1] !== SOI) throw invalidFrame('A frame is not a JPEG codestream.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 2;
  let isJfif = false;
  let adobeTransform: number | undefined;
  while (at + 10 <= bytes.length) {
    if (bytes[at] !== 0xff) throw invalidFrame('A JPEG frame has a damaged header.');
    const marker = bytes[at + 1]!;
    if (SEQUENTIAL_HUFFMAN.has(marker)) {
      const components = bytes[at + 9]!;
      // Identifier, sampling factors and quantisation table of each component.
      const of = (component: number, field: 0 | 1): number => bytes[at + 10 + 3 * component + field] ?? 0;
      const isRgb = String.fromCharCode(of(0, 0), of(1, 0), of(2, 0)) === 'RGB';
      return {
        bitsPerSample: bytes[at + 4]!,
        height: view.getUint16(at + 5),
        width: view.getUint16(at + 7),
        components,
        isBaseline: marker === 0xc0,
        isYcbcr:
          components === 3 && (isJfif || (adobeTransform === undefined ? !isRgb : adobeTransform === 1)),
        is422: of(0, 1) === 0x21 && of(1, 1) === 0x11 && of(2, 1) === 0x11,
      };
    }
    if (marker === 0xff) {
      at++; // fill byte
    } else if (SKIPPED.has(marker) && view.getUint16(at + 2) >= 2) {
      const opening = String.fromCharCode(...bytes.subarray(at + 4, at + 9));
      if (marker === 0xe0 && opening === 'JFIF\0') isJfif = true;
      if (marker === 0xee && opening === 'Adobe') adobeTransform = bytes[at + 15];
      at += 2 + view.getUint16(at + 2);
    } else {
      throw invalidFrame(`A frame is not baseline JPEG (marker FF${marker.toString(16).toUpperCase()}).`);
    }
  }
  throw invalidFrame('A JPEG frame ends within its header.');
}

/**
 * Whether a stored frame may stand, as it is, in an instance of JPEG baseline with Photometric Interpretation
 * YBR_FULL_422: it is whole, of the size that the header says, YCbCr, and 4:2:2 unless its own instance says
 * YBR_FULL_422 of it. @throws FRAME_INVALID, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED
 */
export function isYbrFull422(bytes: Uint8Array, format: FrameFormat): boolean {
  const header = readHeader(bytes);
  requireFormat(header, format);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  if (bytes[end - 2] !== 0xff || bytes[end - 1] !== EOI)
    throw invalidFrame('A JPEG frame ends before its end marker.');
  const isNamed = format.photometricInterpretation === 'YBR_FULL_422';
  return header.isBaseline && header.isYcbcr && (header.is422 || isNamed);
}
