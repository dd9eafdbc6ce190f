/**
 * Builds all levels of a slide in one pass, bottom-up. Rectangles of the normalised base level go in, in any
 * order; finished tiles of every level come out. Each coarser image is the area average of the normalised
 * image below it, never of the source.
 *
 * Invariants: the rectangles cover the base level exactly once; a tile is handed out exactly once, when its
 * last pixel has arrived. Memory: the tiles that are begun and not finished; with rectangles coming row by row
 * that is about one row of tiles a level.
 *
 * Tiles that are glass take no part in this: they are never assembled, averaged or handed out (slide/glass-map.ts).
 */
import { AreaAverage, type OpenSums } from './area-average.ts';
import type { GlassMap } from './glass-map.ts';
import { blankRaster, copyOverlap, type Raster } from './raster.ts';
import type { Placement } from './types.ts';
import type { Rectangle } from './windows.ts';

/** Tile grid of one image: size of a tile and of the part that shows the slide, in pixels. */
export interface TileGrid {
  readonly rows: number;
  readonly columns: number;
  readonly totalRows: number;
  readonly totalColumns: number;
  /** Pixels of the base level along each side of one pixel. */
  readonly reduction: Placement['reduction'];
}

/** A finished tile, cropped to the image, at its place in the image. */
export interface Tile {
  readonly x: number;
  readonly y: number;
  readonly raster: Raster;
}

/** A tile of an image that is begun. */
export type OpenTile = { readonly image: number } & (OpenPixels | OpenSums);

interface OpenPixels {
  readonly place: number;
  readonly tile: Tile;
  readonly missing: number;
}

export type TileSink = (image: number, tile: Tile) => Promise<void>;

/** What the slide's glass looks like, for the images that are made of it in part. */
export interface PyramidGlass {
  readonly map: GlassMap;
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

  /** @param images base first; every other is averaged from the smallest earlier one that reaches as far */
  constructor(images: readonly TileGrid[], sink: TileSink, glass?: PyramidGlass) {
    this.#images = images;
    this.#sink = sink;
    this.#children = images.map(() => []);
    this.#glass = images.map((grid) => new Uint8Array(tilesAcross(grid) * tilesDown(grid)));
    const markGlass = (image: number, isGlass: (x: number, y: number) => boolean): void => {
      for (const [i, { x, y }] of [...tilesOf(images[image]!)].entries())
        this.#glass[image]![i] = isGlass(x, y) ? 1 : 0;
    };
    if (glass) markGlass(0, (x, y) => glass.map.isGlass(extentOf(images[0]!, x, y)));
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

  /** Whether a rectangle of the base level touches only tiles that are glass: it need not be added. */
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

  /** Takes the pieces of `save`, before anything is added. */
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
    await this.#sink(image, tile);
    for (const child of this.#children[image]!)
      for await (const coarser of child.average.add(tile)) await this.#finish(child.image, coarser);
  }

  #isGlassTile(image: number, x: number, y: number): boolean {
    const grid = this.#images[image]!;
    return this.#glass[image]![(y / grid.rows) * tilesAcross(grid) + x / grid.columns] === 1;
  }
}

const tilesAcross = ({ totalColumns, columns }: TileGrid): number => Math.ceil(totalColumns / columns);
const tilesDown = ({ totalRows, rows }: TileGrid): number => Math.ceil(totalRows / rows);

/** Upper left corners of all tiles of an image, row by row. */
function* tilesOf(grid: TileGrid): Generator<{ x: number; y: number }> {
  for (let y = 0; y < grid.totalRows; y += grid.rows)
    for (let x = 0; x < grid.totalColumns; x += grid.columns) yield { x, y };
}

function extentOf({ rows, columns, totalRows, totalColumns }: TileGrid, x: number, y: number): Rectangle {
  return { x, y, width: Math.min(columns, totalColumns - x), height: Math.min(rows, totalRows - y) };
}

/** The smallest earlier image of which every pixel of this one covers a part. */
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

/** Collects rectangles into tiles. */
class TileAssembler {
  readonly #grid: TileGrid;
  readonly #isGlass: (x: number, y: number) => boolean;
  readonly #open = new Map<number, { tile: Tile; missing: number }>();

  constructor(grid: TileGrid, isGlass: (x: number, y: number) => boolean) {
    this.#grid = grid;
    this.#isGlass = isGlass;
  }

  *save(): Generator<OpenPixels> {
    for (const [place, { tile, missing }] of this.#open) yield { place, tile, missing };
  }

  restore({ place, tile, missing }: OpenPixels): void {
    this.#open.set(place, { tile, missing });
  }

  *add(raster: Raster, at: { x: number; y: number }): Generator<Tile> {
    const { rows, columns, totalColumns } = this.#grid;
    for (let y = Math.floor(at.y / rows) * rows; y < at.y + raster.height; y += rows) {
      for (let x = Math.floor(at.x / columns) * columns; x < at.x + raster.width; x += columns) {
        if (this.#isGlass(x, y)) continue;
        const place = y * totalColumns + x;
        let entry = this.#open.get(place);
        if (!entry) {
          const { width, height } = extentOf(this.#grid, x, y);
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
