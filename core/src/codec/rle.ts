/**
 * DICOM RLE (PS3.5 annex G): one PackBits segment per sample. Decoded here, with every bound checked, because the only
 * JavaScript library for it (dcmjs-codecs) declares itself unfit for production.
 */
import { type FrameFormat, interleave, invalidFrame, ybrFullToRgb } from './frame-format.ts';

const HEADER_BYTES = 64;
/** Two bytes of a segment expand to at most 128, so no memory is allocated for a frame that cannot fit. */
const MAX_EXPANSION = 64;

export function decodeRle(bytes: Uint8Array, format: FrameFormat): Uint8Array {
  if (bytes.length < HEADER_BYTES) throw invalidFrame('An RLE frame is shorter than its header.');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const segments = view.getUint32(0, true);
  if (segments !== 3)
    throw invalidFrame(`An RLE frame has ${segments} segments; three 8-bit samples need three.`);
  const size = format.rows * format.columns;
  const packed = [0, 1, 2].map((s) => {
    const start = view.getUint32(4 + 4 * s, true);
    const end = s < 2 ? view.getUint32(8 + 4 * s, true) : bytes.length;
    if (start < HEADER_BYTES || start > end || end > bytes.length)
      throw invalidFrame('An RLE frame has segments beyond its end.');
    if ((end - start) * MAX_EXPANSION < size) throw invalidFrame('An RLE segment is truncated.');
    return bytes.subarray(start, end);
  });
  const planes = new Uint8Array(size * 3);
  for (const [s, segment] of packed.entries()) unpack(segment, planes.subarray(s * size, (s + 1) * size));
  const pixels = interleave(planes);
  if (format.photometricInterpretation === 'YBR_FULL') ybrFullToRgb(pixels);
  return pixels;
}

/** PackBits: n < 128 copies n + 1 bytes, n > 128 repeats the next one 257 - n times, 128 does nothing. */
function unpack(packed: Uint8Array, plane: Uint8Array): void {
  let from = 0;
  let to = 0;
  while (to < plane.length) {
    const n = packed[from++];
    if (n === undefined) throw invalidFrame('An RLE segment is truncated.');
    if (n === 128) continue;
    const count = n < 128 ? n + 1 : 257 - n;
    const used = n < 128 ? count : 1;
    if (from + used > packed.length || to + count > plane.length)
      throw invalidFrame('An RLE segment runs past its end.');
    const step = n < 128 ? 1 : 0;
    for (let i = 0; i < count; i++) plane[to + i] = packed[from + i * step]!;
    from += used;
    to += count;
  }
}
