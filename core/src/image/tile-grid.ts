/** Images cut into tiles of one size, like a level of a slide. */
import type { Raster } from './raster.ts';
import type { Rectangle } from './windows.ts';

/** Base-level pixels along each side of a pixel. */
export interface Reduction {
  readonly across: number;
  readonly down: number;
}

/** Tile grid of one image: size of a tile and of the part that shows the slide, in pixels. */
export interface TileGrid {
  readonly rows: number;
  readonly columns: number;
  readonly totalRows: number;
  readonly totalColumns: number;
  readonly reduction: Reduction;
}

/** A finished tile, cropped to the image, with its position in the image. */
export interface Tile {
  readonly x: number;
  readonly y: number;
  readonly raster: Raster;
}

export const tilesAcross = ({ totalColumns, columns }: TileGrid): number => Math.ceil(totalColumns / columns);
export const tilesDown = ({ totalRows, rows }: TileGrid): number => Math.ceil(totalRows / rows);

/** Upper left corners of all tiles of an image, row by row. */
export function* tilesOf(grid: TileGrid): Generator<{ x: number; y: number }> {
  for (let y = 0; y < grid.totalRows; y += grid.rows)
    for (let x = 0; x < grid.totalColumns; x += grid.columns) yield { x, y };
}

/** The part of a tile inside the image: tiles at its right and lower edge are cropped. */
export function tileExtent(
  { rows, columns, totalRows, totalColumns }: Omit<TileGrid, 'reduction'>,
  { x, y }: { readonly x: number; readonly y: number },
): Rectangle {
  return { x, y, width: Math.min(columns, totalColumns - x), height: Math.min(rows, totalRows - y) };
}
