/**
 * Where a slide is empty glass, according to one of its small levels. Glass is neither decoded nor sent through the
 * network. A speck too small to darken a pixel of that level stays as it is in the source.
 */

import type { Rectangle } from '../../../core/src/image/windows.ts';
import { densityAt } from '../../../core/src/stain/optical-density.ts';
import { mapAtOnce } from '../sharing/map-at-once.ts';
import type { PixelSource } from './pixel-source.ts';

/** Overview pixels around a rectangle that must be glass as well: context, and rounding of the level sizes. */
const MARGIN = 1;
/** Side of what is read at a time: whole tiles, several if they are small. Number of such reads at once. */
const PIECE = 512;
const AT_ONCE = 8;
/** Larger tiles are read one at a time and in bands: a small level is sometimes a single frame. */
const LARGE_TILE = 4e6;
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
  const mark = async (piece: Rectangle): Promise<void> => {
    const { rgb } = await overview.read(piece, signal);
    for (let y = 0, pixel = 0; y < piece.height; y++) {
      const row = Math.floor((piece.y + y) / cell) * across;
      for (let x = 0; x < piece.width; x++, pixel++)
        if (densityAt(rgb, pixel) > density) dense[row + Math.floor((piece.x + x) / cell)] = 1;
    }
  };
  const isLarge = overview.tile.width * overview.tile.height > LARGE_TILE;
  await mapAtOnce(piecesOf(overview, isLarge), isLarge ? 1 : AT_ONCE, mark);
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

/** Pieces that cover a plane, row by row, of whole tiles or of bands of large ones, so that none is decoded twice. */
function* piecesOf({ width, height, tile }: PixelSource, isLarge: boolean): Generator<Rectangle> {
  const [across, down] = [tile.width, tile.height].map(
    (side) => side * Math.max(1, Math.floor(PIECE / side)),
  );
  const band = isLarge ? Math.max(1, Math.floor(PIECE ** 2 / across!)) : down!;
  for (let y = 0; y < height; y += down!)
    for (let x = 0; x < width; x += across!) {
      const bottom = Math.min(height, y + down!);
      for (let top = y; top < bottom; top += band)
        yield { x, y: top, width: Math.min(across!, width - x), height: Math.min(band, bottom - top) };
    }
}
