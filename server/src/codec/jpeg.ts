/**
 * JPEG baseline by libjpeg-turbo. The colour space is the one that the codestream's own markers state (Adobe
 * transform, JFIF, component identifiers), which is what libjpeg goes by; the DICOM tag is often wrong.
 */
import jpeg from '@julusian/jpeg-turbo';
import { type CodestreamFormat, type FrameFormat, invalidFrame, requireFormat } from './frame-format.ts';

const SOI = 0xd8;
/** Tables, application data, comments, restart interval: what may stand before the frame header. */
const SKIPPED = new Set([0xc4, 0xcc, 0xdb, 0xdd, 0xfe, ...Array.from({ length: 16 }, (_, n) => 0xe0 + n)]);
/** SOF0 and SOF1. */
const SEQUENTIAL_HUFFMAN = new Set([0xc0, 0xc1]);

export function decodeJpeg(bytes: Uint8Array, format: FrameFormat): Uint8Array {
  requireFormat(readHeader(bytes), format);
  const rgb = new Uint8Array(format.rows * format.columns * 3);
  try {
    jpeg.decompressSync(asBuffer(bytes), asBuffer(rgb), { format: jpeg.FORMAT_RGB });
  } catch (cause) {
    // libjpeg's warnings count: it would fill what is missing or unreadable with grey and go on.
    throw invalidFrame('A JPEG frame is truncated or damaged.', cause);
  }
  return rgb;
}

/** JFIF YCbCr 4:2:2: Photometric Interpretation YBR_FULL_422. */
export function encodeJpeg(rgb: Uint8Array, width: number, height: number, quality: number): Uint8Array {
  const options = { format: jpeg.FORMAT_RGB, width, height, quality, subsampling: jpeg.SAMP_422 };
  // A copy of its own size: the binding gives a part of a buffer for the worst case.
  return new Uint8Array(jpeg.compressSync(asBuffer(rgb), options));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
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
