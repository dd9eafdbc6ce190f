/**
 * The transfer syntax of a frame by its own first bytes. Archives need not name it in the metadata and are known to name
 * it wrongly with the frames, and the viewer's client keeps the media type of an answer to itself.
 */
import { type FrameFormat, isWholeLength } from './frame-format.ts';

const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
const JPEG_LS = '1.2.840.10008.1.2.4.81';
const JPEG_2000 = '1.2.840.10008.1.2.4.91';
const RLE = '1.2.840.10008.1.2.5';
export const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';

/** Bytes of a frame that is not compressed: YBR_FULL_422 has half as many colour samples (PS3.3 C.7.6.3.1.2). */
export function uncompressedSize({
  rows,
  columns,
  photometricInterpretation,
}: Pick<FrameFormat, 'rows' | 'columns' | 'photometricInterpretation'>): number {
  return rows * columns * (photometricInterpretation === 'YBR_FULL_422' ? 2 : 3);
}

/**
 * @param size uncompressed length in bytes. Only a frame of exactly that length (padded to even) is taken as native
 * @returns one transfer syntax of the codec's family: which one makes no difference to its decoder
 */
export function transferSyntaxOf(bytes: Uint8Array, size: number): string {
  if (isWholeLength(bytes.length, size)) return EXPLICIT_LITTLE_ENDIAN;
  const [a, b, c, d] = bytes;
  if (a === 0xff && b === 0xd8 && c === 0xff) return d === 0xf7 ? JPEG_LS : JPEG_BASELINE;
  if (a === 0xff && b === 0x4f && c === 0xff && d === 0x51) return JPEG_2000;
  // The number of segments, little-endian, opens the header of an RLE frame (PS3.5 G.5).
  if (a === 3 && b === 0 && c === 0 && d === 0) return RLE;
  // Left to the decoder, which says what is wrong with the length.
  return EXPLICIT_LITTLE_ENDIAN;
}
