/**
 * Builds all levels of a slide in one pass, bottom-up. Rectangles of the normalised base level go in, in any
 * order; finished tiles of every level come out. Each coarser image is the area average of the normalised
 * image below it, never of the source.
 *
 * Invariants: the rectangles cover the base level exactly once; a tile is passed to the sink exactly once, when its
 * last pixel has arrived. Memory: the unfinished tiles; if rectangles come row by row, that is about one row of tiles
 * per level.
 *
 * Glass tiles take no part in this: they are never assembled, averaged or passed on (server/src/slide/glass-map.ts).
 */

import { AreaAverage, type OpenSums } from './area-average.ts';
import { blankRaster, copyOverlap, type Raster } from './raster.ts';
import { type Tile, type TileGrid, tileExtent, tilesAcross, tilesDown, tilesOf } from './tile-grid.ts';
import type { Rectangle } from './windows.ts';

/** An unfinished tile of an image. */
export type OpenTile = { readonly image: number } & (OpenPixels | OpenSums);

interface OpenPixels {
  readonly tileIndex: number;
  readonly tile: Tile;
  readonly missing: number;
}

/** Receives a finished tile, whose pixels are the sink's from then on. */
export type TileSink = (image: number, tile: Tile) => Promise<void>;

/** The slide's glass, for images that are partly made of it. */
export interface PyramidGlass {
  readonly map: { isGlass(rectangle: Rectangle): boolean };
  /** The source's own pixels of a tile of an image. */
  pixels(image: number, x: number, y: number): Promise<Raster>;
}

export class Pyramid {
  readonly #images: readonly TileGrid[];
  readonly #base: TileAssembler;
  readonly #children: { image: number; average: AreaAverage }[][];
  /** Per image and tile, row by row: 1 for glass. */
  readonly #glass: readonly Uint8Array[];
  readonly #sink: TileSink;

  /** @param images base first; every other is averaged from the smallest earlier one of at least its resolution */
  constructor(images: readonly TileGrid[], sink: TileSink, glass?: PyramidGlass) {
    this.#images = images;
    this.#sink = sink;
    this.#children = images.map(() => []);
    this.#glass = images.map((grid) => new Uint8Array(tilesAcross(grid) * tilesDown(grid)));
    const markGlass = (image: number, isGlass: (x: number, y: number) => boolean): void => {
      for (const [i, { x, y }] of [...tilesOf(images[image]!)].entries())
        this.#glass[image]![i] = isGlass(x, y) ? 1 : 0;
    };
    if (glass) markGlass(0, (x, y) => glass.map.isGlass(tileExtent(images[0]!, { x, y })));
    for (let image = 1; image < images.length; image++) {
      const parent = parentOf(images, image);
      const average = new AreaAverage(
        images[parent]!,
        images[image]!,
        glass && {
          isGlass: (x, y) => this.#isGlassTile(parent, x, y),
          pixels: (x, y) => glass.pixels(image, x, y),
        },
      );
      if (glass) markGlass(image, (x, y) => average.isGlass(x, y));
      this.#children[parent]!.push({ image, average });
    }
    this.#base = new TileAssembler(images[0]!, (x, y) => this.#isGlassTile(0, x, y));
  }

  /** Whether a rectangle of the base level touches only glass tiles, so that it need not be added. */
  isGlass({ x, y, width, height }: Rectangle): boolean {
    const { rows, columns } = this.#images[0]!;
    for (let top = Math.floor(y / rows) * rows; top < y + height; top += rows)
      for (let left = Math.floor(x / columns) * columns; left < x + width; left += columns)
        if (!this.#isGlassTile(0, left, top)) return false;
    return true;
  }

  /** The upper left corners of an image's glass tiles. */
  *glassTiles(image: number): Generator<{ x: number; y: number }> {
    for (const tile of tilesOf(this.#images[image]!))
      if (this.#isGlassTile(image, tile.x, tile.y)) yield tile;
  }

  /** The state between two rectangles, in pieces of at most a tile. They change with the next `add`. */
  *save(): Generator<OpenTile> {
    for (const tile of this.#base.save()) yield { image: 0, ...tile };
    for (const children of this.#children)
      for (const { image, average } of children) for (const tile of average.save()) yield { image, ...tile };
  }

  /** Restores the pieces of `save`, before anything is added. */
  restore(tile: OpenTile): void {
    if ('tile' in tile) this.#base.restore(tile);
    else
      this.#children
        .flat()
        .find(({ image }) => image === tile.image)!
        .average.restore(tile);
  }

  async add(raster: Raster, at: { x: number; y: number }): Promise<void> {
    for (const tile of this.#base.add(raster, at)) await this.#finish(0, tile);
  }

  async #finish(image: number, tile: Tile): Promise<void> {
    for (const child of this.#children[image]!)
      for await (const coarser of child.average.add(tile)) await this.#finish(child.image, coarser);
    await this.#sink(image, tile);
  }

  #isGlassTile(image: number, x: number, y: number): boolean {
    const grid = this.#images[image]!;
    return this.#glass[image]![(y / grid.rows) * tilesAcross(grid) + x / grid.columns] === 1;
  }
}

/** The smallest earlier image whose pixels are no coarser than this one's. */
function parentOf(images: readonly TileGrid[], image: number): number {
  const wanted = images[image]!;
  let parent = 0;
  for (let i = 1; i < image; i++) {
    const candidate = images[i]!;
    const isSmaller = candidate.totalColumns <= images[parent]!.totalColumns;
    if (isSmaller && reaches(candidate, wanted)) parent = i;
  }
  return parent;
}

function reaches(fine: TileGrid, coarse: TileGrid): boolean {
  const reachesAlong = (axis: 'across' | 'down', size: 'totalColumns' | 'totalRows'): boolean =>
    fine.reduction[axis] <= coarse.reduction[axis] &&
    fine[size] * fine.reduction[axis] >= (coarse[size] - 0.5) * coarse.reduction[axis];
  return reachesAlong('across', 'totalColumns') && reachesAlong('down', 'totalRows');
}

/** Assembles rectangles into tiles. */
class TileAssembler {
  readonly #grid: TileGrid;
  readonly #isGlass: (x: number, y: number) => boolean;
  readonly #open = new Map<number, { tile: Tile; missing: number }>();

  constructor(grid: TileGrid, isGlass: (x: number, y: number) => boolean) {
    this.#grid = grid;
    this.#isGlass = isGlass;
  }

  *save(): Generator<OpenPixels> {
    for (const [tileIndex, { tile, missing }] of this.#open) yield { tileIndex, tile, missing };
  }

  restore({ tileIndex, tile, missing }: OpenPixels): void {
    this.#open.set(tileIndex, { tile, missing });
  }

  *add(raster: Raster, at: { x: number; y: number }): Generator<Tile> {
    const { rows, columns, totalColumns } = this.#grid;
    for (let y = Math.floor(at.y / rows) * rows; y < at.y + raster.height; y += rows) {
      for (let x = Math.floor(at.x / columns) * columns; x < at.x + raster.width; x += columns) {
        if (this.#isGlass(x, y)) continue;
        const tileIndex = y * totalColumns + x;
        let entry = this.#open.get(tileIndex);
        if (!entry) {
          const { width, height } = tileExtent(this.#grid, { x, y });
          entry = { tile: { x, y, raster: blankRaster(width, height) }, missing: width * height };
          this.#open.set(tileIndex, entry);
        }
        entry.missing -= copyOverlap(raster, at, entry.tile.raster, entry.tile);
        if (entry.missing > 0) continue;
        this.#open.delete(tileIndex);
        yield entry.tile;
      }
    }
  }
}
