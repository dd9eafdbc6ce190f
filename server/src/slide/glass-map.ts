/**
 * Where a slide is empty glass, according to one of its small levels. Glass is neither decoded nor sent through the
 * network. A speck too small to darken a pixel of that level stays as it is in the source.
 */

import type { Raster } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import { densityAt } from '../../../core/src/stain/optical-density.ts';
import type { PixelSource } from './pixel-source.ts';

/** Overview pixels around a rectangle that must be glass as well: context, and rounding of the level sizes. */
const MARGIN = 1;
/** Overview pixels read at once. */
const BAND = 2 ** 18;
/** Side of the marked squares, in pixels of the base level: only a few per tile, and not many for a whole slide. */
const CELL = 64;

export interface GlassMap {
  /** Whether a rectangle of the base level shows only glass. */
  isGlass(rectangle: Rectangle): boolean;
}

/** @param density upper limit of glass; the lower end of the fade, so that the network would change nothing */
export async function readGlassMap(
  base: { readonly width: number; readonly height: number },
  overview: PixelSource,
  density: number,
  signal: AbortSignal,
): Promise<GlassMap> {
  const { width, height } = overview;
  const cell = Math.max(1, Math.round((CELL * width) / base.width));
  const across = Math.ceil(width / cell);
  const dense = new Uint8Array(across * Math.ceil(height / cell));
  const band = Math.max(1, Math.floor(BAND / width));
  const read = (top: number): Promise<Raster> | undefined =>
    top < height
      ? overview.read({ x: 0, y: top, width, height: Math.min(band, height - top) }, signal)
      : undefined;
  for (let top = 0, next = read(0); next; top += band) {
    const { rgb, height: rows } = await next;
    // The next frames are decoded while these are read.
    next = read(top + band);
    // A failure is reported when its turn comes.
    next?.catch(() => {});
    for (let y = 0, pixel = 0; y < rows; y++) {
      const row = Math.floor((top + y) / cell) * across;
      for (let x = 0; x < width; x++, pixel++)
        if (densityAt(rgb, pixel) > density) dense[row + Math.floor(x / cell)] = 1;
    }
  }
  /** First cell, and the cell after the last. */
  const span = (from: number, length: number, scale: number, limit: number): [number, number] => [
    Math.floor(Math.max(0, Math.floor(from * scale) - MARGIN) / cell),
    Math.ceil(Math.min(limit, Math.ceil((from + length) * scale) + MARGIN) / cell),
  ];
  return {
    isGlass(rectangle) {
      const [left, right] = span(rectangle.x, rectangle.width, width / base.width, width);
      const [top, bottom] = span(rectangle.y, rectangle.height, height / base.height, height);
      for (let y = top; y < bottom; y++)
        for (let x = left; x < right; x++) if (dense[y * across + x] === 1) return false;
      return true;
    },
  };
}
