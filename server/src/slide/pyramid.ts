/**
 * Builds all levels of a slide in one pass, bottom-up. Rectangles of the normalised base level go in, in any
 * order; finished tiles of every level come out. Each coarser image is the area average of the normalised
 * image below it, never of the source.
 *
 * Invariants: the rectangles cover the base level exactly once; a tile is handed out exactly once, when its
 * last pixel has arrived. Memory: the tiles that are begun and not finished; with rectangles coming row by row
 * that is about one row of tiles a level.
 */
import { AreaAverage } from './area-average.ts';
import { blankRaster, copyOverlap, type Raster } from './raster.ts';

/** Tile grid of one image: tile size and total size, in pixels. */
export interface TileGrid {
  readonly rows: number;
  readonly columns: number;
  readonly totalRows: number;
  readonly totalColumns: number;
}

/** A finished tile, cropped to the image, at its place in the image. */
export interface Tile {
  readonly x: number;
  readonly y: number;
  readonly raster: Raster;
}

export type TileSink = (image: number, tile: Tile) => Promise<void>;

export class Pyramid {
  readonly #base: TileAssembler;
  readonly #children: { image: number; average: AreaAverage }[][];
  readonly #sink: TileSink;

  /** @param images base first; every other is averaged from the smallest earlier one that is at least as large */
  constructor(images: readonly TileGrid[], sink: TileSink) {
    this.#sink = sink;
    this.#base = new TileAssembler(images[0]!);
    this.#children = images.map(() => []);
    for (let image = 1; image < images.length; image++) {
      const parent = parentOf(images, image);
      this.#children[parent]!.push({ image, average: new AreaAverage(images[parent]!, images[image]!) });
    }
  }

  async add(raster: Raster, at: { x: number; y: number }): Promise<void> {
    for (const tile of this.#base.add(raster, at)) await this.#finish(0, tile);
  }

  async #finish(image: number, tile: Tile): Promise<void> {
    await this.#sink(image, tile);
    for (const child of this.#children[image]!)
      for (const coarser of child.average.add(tile)) await this.#finish(child.image, coarser);
  }
}

function parentOf(images: readonly TileGrid[], image: number): number {
  const { totalColumns, totalRows } = images[image]!;
  let parent = 0;
  for (let i = 1; i < image; i++) {
    const candidate = images[i]!;
    const fits = candidate.totalColumns >= totalColumns && candidate.totalRows >= totalRows;
    if (fits && candidate.totalColumns <= images[parent]!.totalColumns) parent = i;
  }
  return parent;
}

/** Collects rectangles into tiles. */
class TileAssembler {
  readonly #grid: TileGrid;
  readonly #open = new Map<number, { tile: Tile; missing: number }>();

  constructor(grid: TileGrid) {
    this.#grid = grid;
  }

  *add(raster: Raster, at: { x: number; y: number }): Generator<Tile> {
    const { rows, columns, totalColumns, totalRows } = this.#grid;
    for (let y = Math.floor(at.y / rows) * rows; y < at.y + raster.height; y += rows) {
      for (let x = Math.floor(at.x / columns) * columns; x < at.x + raster.width; x += columns) {
        const place = y * totalColumns + x;
        let entry = this.#open.get(place);
        if (!entry) {
          const width = Math.min(columns, totalColumns - x);
          const height = Math.min(rows, totalRows - y);
          entry = { tile: { x, y, raster: blankRaster(width, height) }, missing: width * height };
          this.#open.set(place, entry);
        }
        entry.missing -= copyOverlap(raster, at, entry.tile.raster, entry.tile);
        if (entry.missing > 0) continue;
        this.#open.delete(place);
        yield entry.tile;
      }
    }
  }
}
