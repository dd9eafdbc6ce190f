/**
 * Makes an image from a finer one by area averaging, tile by tile in any order.
 *
 * Along each axis a coarse pixel covers `ratio` fine pixels. With a whole ratio no pixel is shared (2967 -> 1483 is 2,
 * and the last row is dropped); any other ratio gives fractional weights at the borders of the coarse pixels.
 *
 * Glass tiles of the finer image are not added. A coarse tile over nothing but such tiles is glass too and is not made;
 * if only some of them are glass, their part comes from the source's coarse tile.
 */

import { blankRaster, type Raster } from './raster.ts';
import { type Tile, type TileGrid, tileExtent } from './tile-grid.ts';
import type { Rectangle } from './windows.ts';

/** How the pixels of one axis map to the coarser axis. */
interface Axis {
  /** The ratio is a whole number, so no fine pixel is shared. */
  readonly isWhole: boolean;
  /** First coarse pixel that fine pixel p touches, or -1 if p is dropped. */
  readonly first: Int32Array;
  /** Weight of p in `first`; the rest of 1 goes to `first` + 1, or is dropped if there is no such pixel. */
  readonly weight: Float32Array;
  /** Total weight in each coarse pixel. */
  readonly total: Float32Array;
  /** Fine pixels that touch coarse pixel c: start[c] <= p < end[c]. */
  readonly start: Int32Array;
  readonly end: Int32Array;
}

const ROUNDING = 1e-6;

function axis(fine: number, coarse: number, stated: number): Axis {
  const isWhole = Math.abs(stated - Math.round(stated)) < ROUNDING;
  const ratio = isWhole ? Math.round(stated) : stated;
  const first = new Int32Array(fine).fill(-1);
  const weight = new Float32Array(fine);
  const total = new Float32Array(coarse);
  const start = new Int32Array(coarse).fill(fine);
  const end = new Int32Array(coarse);
  for (let p = 0; p < fine; p++) {
    let c = Math.floor(p / ratio);
    let share = Math.min(1, (c + 1) * ratio - p);
    // A share within rounding error counts as none: the pixel begins the next coarse pixel.
    if (share < ROUNDING) {
      c++;
      share = 1;
    }
    if (c >= coarse) continue;
    first[p] = c;
    weight[p] = share > 1 - ROUNDING ? 1 : share;
    for (const [target, part] of [
      [c, weight[p]!],
      [c + 1, 1 - weight[p]!],
    ] as const) {
      if (part <= 0 || target >= coarse) continue;
      total[target]! += part;
      start[target] = Math.min(start[target]!, p);
      end[target] = Math.max(end[target]!, p + 1);
    }
  }
  return { isWhole, first, weight, total, start, end };
}

/** Glass: which tiles of the finer image are glass, and the source's pixels of a tile of the coarser one. */
export interface GlassBelow {
  isGlass(x: number, y: number): boolean;
  pixels(x: number, y: number): Promise<Raster>;
}

/** An unfinished tile: its sums so far and the number of fine tiles still to come. */
export interface OpenSums {
  /** y * width of the image + x. */
  readonly tileIndex: number;
  readonly missing: number;
  readonly sums: Float32Array;
}

export class AreaAverage {
  readonly #fine: TileGrid;
  readonly #coarse: TileGrid;
  readonly #x: Axis;
  readonly #y: Axis;
  readonly #glass: GlassBelow | undefined;
  /** Sums of the unfinished tiles, by tile index; `missing` counts the fine tiles still to come. */
  readonly #open = new Map<number, { sums: Float32Array; missing: number }>();
  /** Sums of finished tiles, for the next ones: made anew, they would keep the garbage collector busy. */
  readonly #spare: Float32Array[] = [];

  constructor(fine: TileGrid, coarse: TileGrid, glass?: GlassBelow) {
    this.#glass = glass;
    this.#fine = fine;
    this.#coarse = coarse;
    const across = coarse.reduction.across / fine.reduction.across;
    const down = coarse.reduction.down / fine.reduction.down;
    this.#x = axis(fine.totalColumns, coarse.totalColumns, across);
    this.#y = axis(fine.totalRows, coarse.totalRows, down);
  }

  /** Adds a tile of the finer image and yields the tiles of the coarser image that it completes. */
  async *add(tile: Tile): AsyncGenerator<Tile> {
    const touched = this.#touched(tile);
    if (!touched) return;
    const places = [...tilesTouched(this.#coarse, touched)];
    // Whole pixels within one coarse tile, the usual case, are added to it directly: their sums are exact in any order.
    const isDirect = places.length === 1 && this.#x.isWhole && this.#y.isWhole;
    const patch = isDirect ? undefined : blankSums(touched);
    if (patch) this.#reduce(tile, patch);
    for (const { x, y } of places) {
      const tileIndex = y * this.#coarse.totalColumns + x;
      const extent = tileExtent(this.#coarse, { x, y });
      let entry = this.#open.get(tileIndex);
      if (!entry) {
        entry = {
          sums: this.#blank(extent),
          missing: this.#tilesUnder(x, y).filter((fine) => !this.#isGlassBelow(fine)).length,
        };
        this.#open.set(tileIndex, entry);
      }
      const into = { ...extent, sums: entry.sums };
      if (patch) addPatch(patch, into);
      else this.#reduce(tile, into);
      entry.missing--;
      if (entry.missing > 0) continue;
      this.#open.delete(tileIndex);
      await this.#addGlass(entry.sums, x, y);
      const raster = this.#divide(entry.sums, x, y);
      this.#spare.push(entry.sums);
      yield { x, y, raster };
    }
  }

  #blank(extent: Rectangle): Float32Array {
    const length = extent.width * extent.height * 3;
    const spare = this.#spare.pop();
    return spare?.length === length ? spare.fill(0) : new Float32Array(length);
  }

  /** The unfinished tiles. */
  *save(): Generator<OpenSums> {
    for (const [tileIndex, { sums, missing }] of this.#open) yield { tileIndex, missing, sums };
  }

  restore({ tileIndex, missing, sums }: OpenSums): void {
    this.#open.set(tileIndex, { sums, missing });
  }

  /** Whether the coarse tile at (x, y) lies only over glass. */
  isGlass(x: number, y: number): boolean {
    return this.#tilesUnder(x, y).every((fine) => this.#isGlassBelow(fine));
  }

  #isGlassBelow({ x, y }: Place): boolean {
    return this.#glass?.isGlass(x, y) ?? false;
  }

  /** The tiles of the finer image that touch the coarse tile at (x, y). */
  #tilesUnder(x: number, y: number): Place[] {
    const { width, height } = tileExtent(this.#coarse, { x, y });
    const starts = (axis: Axis, from: number, length: number, tile: number): number[] => {
      const first = Math.floor(axis.start[from]! / tile);
      const last = Math.floor((axis.end[from + length - 1]! - 1) / tile);
      return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * tile);
    };
    const across = starts(this.#x, x, width, this.#fine.columns);
    return starts(this.#y, y, height, this.#fine.rows).flatMap((y) => across.map((x) => ({ x, y })));
  }

  /** Fills the parts of a coarse tile over glass from the source. */
  async #addGlass(sums: Float32Array, x: number, y: number): Promise<void> {
    const below = this.#tilesUnder(x, y).filter((fine) => this.#isGlassBelow(fine));
    if (below.length === 0) return;
    const { width, height } = tileExtent(this.#coarse, { x, y });
    const source = await this.#glass!.pixels(x, y);
    for (const fine of below) {
      const across = weightsFrom(this.#x, fine.x, this.#fine.columns, x, width);
      const down = weightsFrom(this.#y, fine.y, this.#fine.rows, y, height);
      for (let row = 0; row < height; row++) {
        if (down[row] === 0) continue;
        for (let column = 0; column < width; column++) {
          const weight = down[row]! * across[column]!;
          if (weight === 0) continue;
          const at = (row * width + column) * 3;
          const from = (row * source.width + column) * 3;
          for (let c = 0; c < 3; c++) sums[at + c]! += weight * source.rgb[from + c]!;
        }
      }
    }
  }

  /** The coarse pixels that a fine tile touches; undefined if all of it is dropped. */
  #touched({ x, y, raster }: Tile): Rectangle | undefined {
    const span = (axis: Axis, from: number, length: number): [number, number] | undefined => {
      let last = from + length - 1;
      while (last >= from && axis.first[last]! < 0) last--;
      if (last < from) return undefined;
      const touched = axis.first[last]! + (axis.weight[last]! < 1 ? 1 : 0);
      return [axis.first[from]!, Math.min(touched, axis.total.length - 1)];
    };
    const [across, down] = [span(this.#x, x, raster.width), span(this.#y, y, raster.height)];
    if (!across || !down) return undefined;
    return {
      x: across[0],
      y: down[0],
      width: across[1] - across[0] + 1,
      height: down[1] - down[0] + 1,
    };
  }

  /** Adds the weighted pixels of a fine tile to the coarse pixels that it touches. */
  #reduce({ x, y, raster }: Tile, into: Sums): void {
    const [ax, ay] = [this.#x, this.#y];
    const stride = into.width * 3;
    const rowSums = new Float32Array(stride + 3);
    for (let row = 0; row < raster.height; row++) {
      const c = ay.first[y + row]!;
      if (c < 0) break;
      const at = (c - into.y) * stride;
      if (ax.isWhole && ay.isWhole) {
        addWholeRow(raster, row, ax, x, into.x, into.sums.subarray(at, at + stride));
        continue;
      }
      sumRow(raster, row, ax, x, into.x, rowSums);
      const weight = ay.weight[y + row]!;
      addRow(rowSums, weight, into.sums, at, stride);
      if (weight < 1 && c + 1 < into.y + into.height)
        addRow(rowSums, 1 - weight, into.sums, at + stride, stride);
    }
  }

  #divide(sums: Float32Array, x: number, y: number): Raster {
    const { width, height } = tileExtent(this.#coarse, { x, y });
    const raster = blankRaster(width, height);
    const { rgb } = raster;
    const [across, down] = [this.#x.total, this.#y.total];
    for (let row = 0, at = 0; row < height; row++) {
      const rowTotal = down[y + row]!;
      for (let column = 0; column < width; column++, at += 3) {
        const area = across[x + column]! * rowTotal;
        // As Math.round, which takes twice as long.
        rgb[at] = (sums[at]! / area + 0.5) | 0;
        rgb[at + 1] = (sums[at + 1]! / area + 0.5) | 0;
        rgb[at + 2] = (sums[at + 2]! / area + 0.5) | 0;
      }
    }
    return raster;
  }
}

/** Top left corners of the tiles that a rectangle touches. */
function* tilesTouched({ rows, columns }: TileGrid, { x, y, width, height }: Rectangle): Generator<Place> {
  for (let top = Math.floor(y / rows) * rows; top < y + height; top += rows)
    for (let left = Math.floor(x / columns) * columns; left < x + width; left += columns)
      yield { x: left, y: top };
}

/** Sums of colours over a rectangle of coarse pixels: width * height * 3. */
interface Sums extends Rectangle {
  readonly sums: Float32Array;
}

function blankSums(rectangle: Rectangle): Sums {
  return { ...rectangle, sums: new Float32Array(rectangle.width * rectangle.height * 3) };
}

interface Place {
  readonly x: number;
  readonly y: number;
}

/** Weight of the `length` fine pixels starting at `from`, in each of the `count` coarse pixels starting at `first`. */
function weightsFrom(axis: Axis, from: number, length: number, first: number, count: number): Float32Array {
  const weights = new Float32Array(count);
  const add = (coarse: number, weight: number): void => {
    if (coarse >= first && coarse < first + count) weights[coarse - first]! += weight;
  };
  for (let p = from; p < Math.min(from + length, axis.first.length); p++) {
    if (axis.first[p]! < 0) break;
    add(axis.first[p]!, axis.weight[p]!);
    add(axis.first[p]! + 1, 1 - axis.weight[p]!);
  }
  return weights;
}

/** Adds one row of unshared pixels to a row of sums that starts at coarse pixel `origin`. */
function addWholeRow(
  { width, rgb }: Raster,
  row: number,
  { first, end }: Axis,
  x: number,
  origin: number,
  sums: Float32Array,
): void {
  let at = row * width * 3;
  for (let column = 0; column < width; ) {
    const c = first[x + column]!;
    if (c < 0) break;
    let r = 0;
    let g = 0;
    let b = 0;
    for (const stop = Math.min(width, end[c]! - x); column < stop; column++, at += 3) {
      r += rgb[at]!;
      g += rgb[at + 1]!;
      b += rgb[at + 2]!;
    }
    const target = (c - origin) * 3;
    sums[target]! += r;
    sums[target + 1]! += g;
    sums[target + 2]! += b;
  }
}

/** Sums one row of pixels horizontally into `sums`, which starts at coarse pixel `origin`. */
function sumRow(
  { width, rgb }: Raster,
  row: number,
  axis: Axis,
  x: number,
  origin: number,
  sums: Float32Array,
): void {
  sums.fill(0);
  let at = row * width * 3;
  for (let column = 0; column < width; column++, at += 3) {
    const c = axis.first[x + column]!;
    if (c < 0) break;
    const target = (c - origin) * 3;
    const weight = axis.weight[x + column]!;
    sums[target]! += rgb[at]! * weight;
    sums[target + 1]! += rgb[at + 1]! * weight;
    sums[target + 2]! += rgb[at + 2]! * weight;
    if (weight === 1) continue;
    sums[target + 3]! += rgb[at]! * (1 - weight);
    sums[target + 4]! += rgb[at + 1]! * (1 - weight);
    sums[target + 5]! += rgb[at + 2]! * (1 - weight);
  }
}

function addRow(row: Float32Array, weight: number, sums: Float32Array, at: number, length: number): void {
  for (let i = 0; i < length; i++) sums[at + i]! += row[i]! * weight;
}

/** Adds what a patch has in common with a tile. */
function addPatch(patch: Sums, tile: Sums): void {
  const left = Math.max(patch.x, tile.x);
  const right = Math.min(patch.x + patch.width, tile.x + tile.width);
  const top = Math.max(patch.y, tile.y);
  const bottom = Math.min(patch.y + patch.height, tile.y + tile.height);
  for (let y = top; y < bottom; y++) {
    let from = ((y - patch.y) * patch.width + left - patch.x) * 3;
    let to = ((y - tile.y) * tile.width + left - tile.x) * 3;
    for (let i = (right - left) * 3; i > 0; i--) tile.sums[to++]! += patch.sums[from++]!;
  }
}
