/** Which tiles of which level a viewport needs: plain geometry. */
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { SlideLevels } from './slide-levels.ts';
import type { Affine } from './surface.ts';

export interface Tile {
  /** Index into the levels. */
  readonly level: number;
  readonly column: number;
  readonly row: number;
}

/** Levels about four times coarser than needed are drawn first, so that something shows at once. Sizes are rounded. */
const COARSE = 3.9;

/**
 * Tiles under the viewport, in the order in which they are to be drawn: a coarse pass, then the finest level that a
 * screen can show, each from the centre outwards.
 * @param scale device pixels per CSS pixel
 * @param maxPixels of tiles that may be kept. If more are in sight, as on a large screen, a coarser level is used: better
 *   less sharp than with holes where tiles were evicted
 */
export function visibleTiles(
  levels: SlideLevels,
  transform: Affine,
  size: { readonly width: number; readonly height: number },
  scale: number,
  maxPixels: number,
): Tile[] {
  const pixels = Math.hypot(transform[0], transform[1]) * scale; // device pixels per base level pixel
  const fits = levels.findLastIndex(({ downsample }) => downsample * pixels <= 1.01);
  for (let fine = Math.max(0, fits); ; fine++) {
    const coarse = levels.findIndex(({ downsample }) => downsample >= levels[fine]!.downsample * COARSE);
    const tiles = [...(coarse > fine ? [coarse] : []), fine].flatMap((level) =>
      tilesOf(levels, level, transform, size),
    );
    if (fine === levels.length - 1 || pixelsOf(levels, tiles) <= maxPixels) return tiles;
  }
}

function pixelsOf(levels: SlideLevels, tiles: readonly Tile[]): number {
  return tiles.reduce((sum, { level }) => sum + levels[level]!.columns * levels[level]!.rows, 0);
}

function tilesOf(
  levels: SlideLevels,
  index: number,
  transform: Affine,
  { width, height }: { readonly width: number; readonly height: number },
): Tile[] {
  const { columns, rows, downsample, totalColumns, totalRows, frameAt } = levels[index]!;
  const corners = [
    [0, 0],
    [width, 0],
    [0, height],
    [width, height],
  ].map(([x, y]) => inverse(transform, x!, y!));
  const range = (axis: 0 | 1, frame: number, total: number): [number, number] => {
    const at = corners.map((corner) => corner[axis] / downsample / frame);
    const last = Math.ceil(total / frame) - 1;
    return [Math.max(0, Math.floor(Math.min(...at))), Math.min(last, Math.floor(Math.max(...at)))];
  };
  const [left, right] = range(0, columns, totalColumns);
  const [top, bottom] = range(1, rows, totalRows);
  const centre = inverse(transform, width / 2, height / 2);
  const tiles: { tile: Tile; distance: number }[] = [];
  for (let row = top; row <= bottom; row++)
    for (let column = left; column <= right; column++) {
      if (!frameAt(column, row)) continue;
      const x = (column + 0.5) * columns * downsample - centre[0];
      const y = (row + 0.5) * rows * downsample - centre[1];
      tiles.push({ tile: { level: index, column, row }, distance: Math.hypot(x, y) });
    }
  return tiles.sort((a, b) => a.distance - b.distance).map(({ tile }) => tile);
}

/** Whether any part of a rectangle, in pixels of the base level, is in the viewport (if rotated: may be). */
export function isInSight(
  { x, y, width, height }: Rectangle,
  [a, b, c, d, e, f]: Affine,
  viewport: { readonly width: number; readonly height: number },
): boolean {
  const corners = [
    [x, y],
    [x + width, y],
    [x, y + height],
    [x + width, y + height],
  ] as const;
  const reaches = (at: readonly number[], size: number): boolean =>
    Math.max(...at) > 0 && Math.min(...at) < size;
  return (
    reaches(
      corners.map(([p, q]) => a * p + c * q + e),
      viewport.width,
    ) &&
    reaches(
      corners.map(([p, q]) => b * p + d * q + f),
      viewport.height,
    )
  );
}

function inverse([a, b, c, d, e, f]: Affine, x: number, y: number): readonly [number, number] {
  const determinant = a * d - b * c;
  return [(d * (x - e) - c * (y - f)) / determinant, (a * (y - f) - b * (x - e)) / determinant];
}
