/**
 * Where a slide is empty glass, according to one of its small levels. Glass is neither decoded nor sent through the
 * network. A speck too small to darken a pixel of that level stays as it is in the source.
 */

import type { Raster } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import { densityAt } from '../../../core/src/stain/optical-density.ts';
import { extentOnBase } from './placement.ts';
import type { Level } from './types.ts';

/** Pixels of the small level around a rectangle that must be glass as well: context, and rounding of the level sizes. */
const MARGIN = 1;
/** Side of the cells, in pixels of the base level: only a few per tile, and not many for a whole slide. */
const CELL = 64;

export interface GlassMap {
  /** Whether a rectangle of the base level shows only glass. */
  isGlass(rectangle: Rectangle): boolean;
}

/** Remembered, because a slide has several hundred thousand frames, and a map several readers. */
const known = new WeakMap<GlassMap, WeakMap<Level, Uint8Array>>();

/**
 * Tells of each frame of a level, by its index, whether it shows only glass: for readers of all of them.
 * @param map if undefined, no frame does
 */
export function glassFrames(map: GlassMap | undefined, level: Level): (frame: number) => boolean {
  if (!map) return () => false;
  const ofMap = known.get(map) ?? new WeakMap<Level, Uint8Array>();
  known.set(map, ofMap);
  let found = ofMap.get(level);
  if (!found) {
    found = new Uint8Array(level.frames.length);
    for (const [frame, position] of level.frames.entries())
      found[frame] = map.isGlass(extentOnBase(level, position)) ? 1 : 0;
    ofMap.set(level, found);
  }
  const marks = found;
  return (frame) => marks[frame] === 1;
}

/** How glass is looked for on a level. */
export interface GlassSearch {
  /** Side of a cell, in pixels of the level. */
  readonly cell: number;
  /** Upper limit of glass, optical density. */
  readonly density: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** The cells that a range of pixels touches: the first, and the one after the last. */
function cellsUnder(from: number, length: number, cell: number): [number, number] {
  return [Math.floor(from / cell), Math.ceil((from + length) / cell)];
}

/**
 * Counts the pixels of a tile that are glass, in each cell that it touches, row by row.
 * @param at where the tile lies on its level, and how much of it shows the slide
 */
export function countGlass(
  { width, rgb }: Raster,
  at: Rectangle,
  { cell, density }: GlassSearch,
): Uint16Array {
  const [left, right] = cellsUnder(at.x, at.width, cell);
  const [top, bottom] = cellsUnder(at.y, at.height, cell);
  const counts = new Uint16Array((right - left) * (bottom - top));
  for (let y = 0; y < at.height; y++) {
    const row = (Math.floor((at.y + y) / cell) - top) * (right - left);
    for (let column = left, x = 0; column < right; column++) {
      const end = Math.min(at.width, (column + 1) * cell - at.x);
      let glass = 0;
      for (; x < end; x++) if (densityAt(rgb, y * width + x) <= density) glass++;
      counts[row + column - left]! += glass;
    }
  }
  return counts;
}

/** A map that is made tile by tile. What no tile shows is not glass: the base level may have a tile there. */
export class GlassCells implements GlassMap {
  readonly search: GlassSearch;
  readonly #base: Size;
  readonly #level: Size;
  readonly #across: number;
  /** Number of pixels in each cell that are not known to be glass. */
  readonly #others: Uint16Array;

  /** @param density upper limit of glass; the lower end of the fade, so that the transfer would change nothing */
  constructor(base: Size, level: Size, density: number) {
    const cell = Math.max(1, Math.round((CELL * level.width) / base.width));
    const [, across] = cellsUnder(0, level.width, cell);
    const [, down] = cellsUnder(0, level.height, cell);
    this.search = { cell, density };
    this.#base = base;
    this.#level = level;
    this.#across = across;
    this.#others = new Uint16Array(across * down);
    for (let row = 0; row < down; row++) {
      const height = Math.min(cell, level.height - row * cell);
      this.#others.fill(cell * height, row * across, (row + 1) * across);
      this.#others[(row + 1) * across - 1] = (level.width - (across - 1) * cell) * height;
    }
  }

  /** @param at as for `countGlass`, which made the counts; no pixel of the level may be added twice */
  add(at: Rectangle, counts: Uint16Array): void {
    const { cell } = this.search;
    const [left, right] = cellsUnder(at.x, at.width, cell);
    const [top, bottom] = cellsUnder(at.y, at.height, cell);
    let i = 0;
    for (let row = top; row < bottom; row++)
      for (let column = left; column < right; column++)
        this.#others[row * this.#across + column]! -= counts[i++]!;
  }

  isGlass(rectangle: Rectangle): boolean {
    const { width, height } = this.#level;
    const [left, right] = this.#span(rectangle.x, rectangle.width, width / this.#base.width, width);
    const [top, bottom] = this.#span(rectangle.y, rectangle.height, height / this.#base.height, height);
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) if (this.#others[y * this.#across + x] !== 0) return false;
    return true;
  }

  #span(from: number, length: number, scale: number, limit: number): [number, number] {
    const first = Math.max(0, Math.floor(from * scale) - MARGIN);
    const end = Math.min(limit, Math.ceil((from + length) * scale) + MARGIN);
    return cellsUnder(first, end - first, this.search.cell);
  }
}
