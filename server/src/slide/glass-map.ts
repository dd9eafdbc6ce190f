/**
 * Where a slide is empty glass, seen on one of its small levels: what is glass there is neither decoded nor sent
 * through the network. A speck too small to darken a pixel of that level stays as it is in the source.
 */
import { densityAt } from './optical-density.ts';
import type { PixelSource } from './pixel-source.ts';
import type { Rectangle } from './windows.ts';

/** Pixels of the overview around a rectangle that must be glass as well: context, and rounding of the levels' sizes. */
const MARGIN = 1;
/** Pixels of the overview that are looked at in one go. */
const BAND = 2 ** 18;
/** Side of the squares that are marked, in pixels of the base level: few for a tile, and few for a whole slide. */
const CELL = 64;

export interface GlassMap {
  /** Whether a rectangle of the base level shows nothing but glass. */
  isGlass(rectangle: Rectangle): boolean;
}

/** @param density glass is nowhere denser than this; the fade's lower end, so that the network would change nothing */
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
  for (let top = 0; top < height; top += band) {
    const rows = Math.min(band, height - top);
    const { rgb } = await overview.read({ x: 0, y: top, width, height: rows }, signal);
    for (let y = 0, pixel = 0; y < rows; y++) {
      const row = Math.floor((top + y) / cell) * across;
      for (let x = 0; x < width; x++, pixel++)
        if (densityAt(rgb, pixel) > density) dense[row + Math.floor(x / cell)] = 1;
    }
  }
  /** First cell, and the one after the last. */
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
