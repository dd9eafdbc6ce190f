/**
 * JPEG baseline by libjpeg-turbo. The colour space is the one that the codestream's own markers state (Adobe
 * transform, JFIF, component identifiers), which is what libjpeg goes by; the DICOM tag is often wrong.
 */
import jpeg from '@julusian/jpeg-turbo';
import { type CodestreamFormat, type FrameFormat, invalidFrame, requireFormat } from './frame-format.ts';

const MARKER = { SOI: 0xd8, EOI: 0xd9, SOS: 0xda, SOF0: 0xc0, SOF1: 0xc1 } as const;

export function decodeJpeg(bytes: Uint8Array, format: FrameFormat): Uint8Array {
  requireFormat(readHeader(bytes), format);
  requireEnd(bytes);
  try {
    const { data } = jpeg.decompressSync(asBuffer(bytes), { format: jpeg.FORMAT_RGB });
    return new Uint8Array(data.buffer, data.byteOffset, data.length);
  } catch (cause) {
    throw invalidFrame('A JPEG frame cannot be decoded.', cause);
  }
}

/** JFIF YCbCr 4:2:2: Photometric Interpretation YBR_FULL_422. */
export function encodeJpeg(rgb: Uint8Array, width: number, height: number, quality: number): Uint8Array {
  return jpeg.compressSync(asBuffer(rgb), { format: jpeg.FORMAT_RGB, width, height, quality, subsampling: jpeg.SAMP_422 });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Frame header (SOF) of a baseline or extended sequential codestream (ITU-T T.81 B.2.2). */
function readHeader(bytes: Uint8Array): CodestreamFormat {
  if (bytes[0] !== 0xff || bytes[1] !== MARKER.SOI) throw invalidFrame('A frame is not a JPEG codestream.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) throw invalidFrame('A JPEG frame has a damaged header.');
    const marker = bytes[at + 1]!;
    if (marker === 0xff) {
      at++; // fill byte
      continue;
    }
    if (marker === MARKER.SOF0 || marker === MARKER.SOF1) {
      if (at + 10 > bytes.length) break;
      return { bitsPerSample: bytes[at + 4]!, height: view.getUint16(at + 5), width: view.getUint16(at + 7), components: bytes[at + 9]! };
    }
    if (marker === MARKER.SOS || marker === MARKER.EOI || (marker > MARKER.SOF1 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)))
      throw invalidFrame('A frame is not baseline JPEG.');
    at += 2 + view.getUint16(at + 2);
  }
  throw invalidFrame('A JPEG frame ends within its header.');
}

/** libjpeg fills what a truncated codestream lacks with grey and says nothing, so the end marker must be there. */
function requireEnd(bytes: Uint8Array): void {
  let end = bytes.length;
  while (end > 2 && bytes[end - 1] !== MARKER.EOI && bytes.length - end < 16) end--;
  if (bytes[end - 1] !== MARKER.EOI || bytes[end - 2] !== 0xff) throw invalidFrame('A JPEG frame is truncated.');
}
