/** Frames to encode and headers to decode them with. */
import type { FrameFormat } from '../../core/src/codec/frame-format.ts';

/** A picture with slopes, edges and some noise, never far outside the gamut of YCbCr: width x height x 3 bytes. */
export function testFrame(width: number, height: number, seed = 1): Uint8Array {
  const rgb = new Uint8Array(width * height * 3);
  let state = seed >>> 0 || 1;
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const noise = state >>> 29;
      const nucleus = (x - width / 3) ** 2 + (y - height / 2) ** 2 < (Math.min(width, height) / 5) ** 2;
      rgb[at++] = (nucleus ? 90 : 200 + 20 * Math.sin(x / 9)) + noise;
      rgb[at++] = (nucleus ? 60 : 150 + 30 * Math.sin(y / 11)) + noise;
      rgb[at++] = (nucleus ? 140 : 190 + 15 * Math.cos((x + y) / 13)) + noise;
    }
  return rgb;
}

export function frameFormat(
  transferSyntaxUid: string,
  columns: number,
  rows: number,
  more: Partial<FrameFormat> = {},
): FrameFormat {
  return {
    transferSyntaxUid,
    columns,
    rows,
    photometricInterpretation: 'RGB',
    planarConfiguration: 0,
    ...more,
  };
}

export function largestDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} and ${b.length} bytes`);
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]! - b[i]!));
  return largest;
}

export function meanDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) throw new Error(`${a.length} and ${b.length} bytes`);
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}

/** Full-range YCbCr (ITU-T T.871), in floating point. */
export function toYbrFull(rgb: Uint8Array): Uint8Array {
  const ybr = new Uint8ClampedArray(rgb.length);
  for (let i = 0; i < rgb.length; i += 3) {
    const [r, g, b] = [rgb[i]!, rgb[i + 1]!, rgb[i + 2]!];
    ybr[i] = 0.299 * r + 0.587 * g + 0.114 * b;
    ybr[i + 1] = 128 - 0.168736 * r - 0.331264 * g + 0.5 * b;
    ybr[i + 2] = 128 + 0.5 * r - 0.418688 * g - 0.081312 * b;
  }
  return new Uint8Array(ybr.buffer);
}

/** Interleaved samples as three planes. */
export function toPlanes(pixels: Uint8Array): Uint8Array {
  const size = pixels.length / 3;
  return Uint8Array.from(pixels, (_, i) => pixels[(i % size) * 3 + Math.floor(i / size)]!);
}
