/**
 * Determines the transfer syntax of a frame from its first bytes. Archives need not give it in the metadata and are
 * known to give a wrong one with the frames, and the viewer's client does not pass on the media type of a response.
 */
import {
  EXPLICIT_VR_LITTLE_ENDIAN,
  JPEG_2000,
  JPEG_BASELINE,
  JPEG_LS_NEAR_LOSSLESS,
  RLE_LOSSLESS,
} from '../dicom/transfer-syntaxes.ts';
import { type FrameFormat, isWholeLength } from './frame-format.ts';

type Layout = Pick<FrameFormat, 'rows' | 'columns' | 'photometricInterpretation'>;

/** Size of an uncompressed frame: YBR_FULL_422 has half as many chroma samples (PS3.3 C.7.6.3.1.2). */
export function uncompressedSize({ rows, columns, photometricInterpretation }: Layout): number {
  return rows * columns * (photometricInterpretation === 'YBR_FULL_422' ? 2 : 3);
}

/**
 * Only a frame of exactly the uncompressed length (padded to even) counts as native: of the length that its header asks
 * for, or of three samples a pixel under the name of YBR_FULL_422 (native-colours.ts).
 * @returns one transfer syntax of the codec's family; its decoder handles all of them alike
 */
export function codestreamSyntax(bytes: Uint8Array, layout: Layout): string {
  const sizes = [uncompressedSize(layout), layout.rows * layout.columns * 3];
  if (sizes.some((size) => isWholeLength(bytes.length, size))) return EXPLICIT_VR_LITTLE_ENDIAN;
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xd8 && c === 0xff) return isJpegLs(bytes) ? JPEG_LS_NEAR_LOSSLESS : JPEG_BASELINE;
  if (a === 0xff && b === 0x4f && c === 0xff && d === 0x51) return JPEG_2000;
  // The header of an RLE frame starts with the number of segments, little-endian (PS3.5 G.5).
  if (a === 3 && b === 0 && c === 0 && d === 0) return RLE_LOSSLESS;
  // Left to the decoder, which reports what is wrong with the length.
  return EXPLICIT_VR_LITTLE_ENDIAN;
}

/** Recognised by the marker of its frame header (SOF55, ITU-T T.87), which application data may precede. */
function isJpegLs(bytes: Uint8Array): boolean {
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1]!;
    if (marker === 0xf7) return true;
    // A frame or scan of another coding process.
    if ((marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8) || marker === 0xda)
      return false;
    at += 2 + (bytes[at + 2]! << 8) + bytes[at + 3]!;
  }
  return false;
}
