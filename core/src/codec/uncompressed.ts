/** Native pixel data: RGB or YBR, by pixel or by plane (PS3.5 8.1.1, PS3.3 C.7.6.3.1). */
import { type FrameFormat, interleave, invalidFrame, isWholeLength, ybrFullToRgb } from './frame-format.ts';

export function decodeUncompressed(bytes: Uint8Array, format: FrameFormat): Uint8Array {
  const pixels = format.rows * format.columns;
  if (format.photometricInterpretation === 'YBR_FULL_422') {
    requireLength(bytes, pixels * 2);
    const full = expand422(bytes, pixels);
    ybrFullToRgb(full);
    return full;
  }
  requireLength(bytes, pixels * 3);
  const rgb =
    format.planarConfiguration === 1
      ? interleave(bytes.subarray(0, pixels * 3))
      : new Uint8Array(bytes.subarray(0, pixels * 3));
  if (format.photometricInterpretation === 'YBR_FULL') ybrFullToRgb(rgb);
  return rgb;
}

function requireLength(bytes: Uint8Array, length: number): void {
  if (!isWholeLength(bytes.length, length))
    throw invalidFrame(`A frame has ${bytes.length} bytes; ${length} are needed.`);
}

/** Y1 Y2 Cb Cr for each pair of neighbouring pixels (PS3.3 C.7.6.3.1.2). */
function expand422(bytes: Uint8Array, pixels: number): Uint8Array {
  const full = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const pair = (i >> 1) * 4;
    full[i * 3] = bytes[pair + (i & 1)]!;
    full[i * 3 + 1] = bytes[pair + 2]!;
    full[i * 3 + 2] = bytes[pair + 3]!;
  }
  return full;
}
