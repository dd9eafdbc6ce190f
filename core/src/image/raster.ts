/** 8-bit RGB pixels, interleaved, row by row, and basic operations on them. */
import type { Rectangle } from './windows.ts';

/**
 * Maximum pixels of a frame: scanners make tiles of at most 17 megapixels; a small level is sometimes a single frame.
 */
export const MAX_FRAME_PIXELS = 100e6;

export interface Raster {
  readonly width: number;
  readonly height: number;
  /** width * height * 3 bytes. */
  readonly rgb: Uint8Array;
}

export function blankRaster(width: number, height: number, colour?: Rgb): Raster {
  const rgb = new Uint8Array(width * height * 3);
  if (colour) fill(rgb, colour);
  return { width, height, rgb };
}

export type Rgb = readonly [number, number, number];

export const WHITE: Rgb = [255, 255, 255];
export const BLACK: Rgb = [0, 0, 0];

function fill(rgb: Uint8Array, [r, g, b]: Rgb): void {
  if (r === g && g === b) {
    rgb.fill(r);
    return;
  }
  rgb.set([r, g, b]);
  for (let filled = 3; filled < rgb.length; filled *= 2)
    rgb.copyWithin(filled, 0, Math.min(filled, rgb.length - filled));
}

/**
 * Copies the overlap of two rasters at given positions in one plane.
 * @returns the number of pixels copied
 */
export function copyOverlap(
  from: Raster,
  fromAt: { x: number; y: number },
  to: Raster,
  toAt: { x: number; y: number },
  within: Rectangle = { ...toAt, width: to.width, height: to.height },
): number {
  const left = Math.max(fromAt.x, toAt.x, within.x);
  const top = Math.max(fromAt.y, toAt.y, within.y);
  const right = Math.min(fromAt.x + from.width, toAt.x + to.width, within.x + within.width);
  const bottom = Math.min(fromAt.y + from.height, toAt.y + to.height, within.y + within.height);
  if (right <= left || bottom <= top) return 0;
  for (let y = top; y < bottom; y++) {
    const source = ((y - fromAt.y) * from.width + left - fromAt.x) * 3;
    const target = ((y - toAt.y) * to.width + left - toAt.x) * 3;
    to.rgb.set(from.rgb.subarray(source, source + (right - left) * 3), target);
  }
  return (right - left) * (bottom - top);
}

/** Repeats the last valid column and row over the rest of the raster. */
export function repeatEdges(raster: Raster, validWidth: number, validHeight: number): void {
  const { width, height, rgb } = raster;
  if (validWidth < width) {
    for (let y = 0; y < validHeight; y++) {
      const last = (y * width + validWidth - 1) * 3;
      for (let x = validWidth; x < width; x++) rgb.copyWithin((y * width + x) * 3, last, last + 3);
    }
  }
  const lastRow = (validHeight - 1) * width * 3;
  for (let y = validHeight; y < height; y++) rgb.copyWithin(y * width * 3, lastRow, lastRow + width * 3);
}
