/** Pixels of one plane, readable by rectangle: a level of a slide, or a picture in memory. */
import {
  blankRaster,
  copyOverlap,
  type Raster,
  type Rgb,
  repeatEdges,
} from '../../../core/src/image/raster.ts';
import { intersection, MAX_HALO, type Rectangle } from '../../../core/src/image/windows.ts';
import type { FramePosition, Level } from './types.ts';

export interface PixelSource {
  readonly width: number;
  readonly height: number;
  /** Size of the tiles in which it is stored, from the upper left corner on: what is read at once. */
  readonly tile: { readonly width: number; readonly height: number };
  /**
   * Pixels of the rectangle. Beyond the right or lower edge of the plane, the last column or row is repeated; where the
   * slide has no tile, the pixels are glass.
   */
  read(rectangle: Rectangle, signal: AbortSignal): Promise<Raster>;
  /** The parts of the rectangle for which the slide has tiles; empty if it has none. */
  coverage(rectangle: Rectangle): Rectangle[];
}

/**
 * A picture that is already in memory.
 * @param parts where the picture has pixels of its own, if not everywhere
 */
export function memorySource(picture: Raster, parts?: readonly Rectangle[]): PixelSource {
  const covered = parts ?? [{ x: 0, y: 0, width: picture.width, height: picture.height }];
  return {
    width: picture.width,
    height: picture.height,
    // Any part is read at no cost.
    tile: { width: 256, height: 256 },
    coverage: (rectangle) =>
      covered
        .map((part) => intersection(rectangle, part))
        .filter(({ width, height }) => width > 0 && height > 0),
    async read(rectangle) {
      const raster = blankRaster(rectangle.width, rectangle.height);
      copyOverlap(picture, { x: 0, y: 0 }, raster, rectangle);
      repeatEdges(
        raster,
        Math.min(rectangle.width, picture.width - rectangle.x),
        Math.min(rectangle.height, picture.height - rectangle.y),
      );
      return raster;
    },
  };
}

/** Decodes one tile to rows x columns RGB. */
export type TileDecoder = (position: FramePosition, signal: AbortSignal) => Promise<Uint8Array>;

/** Cached, because a slide has several hundred thousand frames, and a level several readers. */
const frameIndices = new WeakMap<Level, ReadonlyMap<number, number>>();

/** Maps each position in a level's grid, counted row by row, to its frame. */
function frameIndexByTile(level: Level): ReadonlyMap<number, number> {
  const known = frameIndices.get(level);
  if (known) return known;
  const across = Math.ceil(level.totalColumns / level.columns);
  const tileIndex = ({ x, y }: FramePosition): number =>
    Math.floor(y / level.rows) * across + Math.floor(x / level.columns);
  const found = new Map<number, number>();
  for (const [index, frame] of level.frames.entries()) found.set(tileIndex(frame), index);
  frameIndices.set(level, found);
  return found;
}

/** Windows overlap by two halos: a tile within this distance of a window's far edges may be needed again. */
const OVERLAP = 2 * MAX_HALO;

/**
 * The slide on one level, without padding, read through a cache of decoded tiles. Windows come row by row, from left to
 * right, so a tile before the far edges of the last window is not needed again. Memory is bounded by one window and one
 * row of tiles, whatever the slide's height. Another reading order costs time, and the tiles of all windows that are
 * read at once, but stays correct.
 */
export class LevelSource implements PixelSource {
  readonly width: number;
  readonly height: number;
  readonly tile: PixelSource['tile'];
  readonly #level: Level;
  readonly #decode: TileDecoder;
  readonly #absent: Rgb;
  readonly #across: number;
  readonly #frameIndices: ReadonlyMap<number, number>;
  readonly #tiles = new Map<number, Promise<Raster>>();

  constructor(level: Level, decode: TileDecoder, absent: Rgb) {
    this.width = level.placement.content.columns;
    this.height = level.placement.content.rows;
    this.tile = { width: level.columns, height: level.rows };
    this.#level = level;
    this.#decode = decode;
    this.#absent = absent;
    this.#across = Math.ceil(level.totalColumns / level.columns);
    this.#frameIndices = frameIndexByTile(level);
  }

  coverage(rectangle: Rectangle): Rectangle[] {
    const { columns: width, rows: height } = this.#level;
    const plane = { x: 0, y: 0, width: this.width, height: this.height };
    return this.#tileIndicesUnder(rectangle)
      .map((tileIndex) => this.#frameAt(tileIndex))
      .filter((frame) => frame !== undefined)
      .map(({ x, y }) => intersection(intersection({ x, y, width, height }, rectangle), plane));
  }

  async read(rectangle: Rectangle, signal: AbortSignal): Promise<Raster> {
    const raster = blankRaster(rectangle.width, rectangle.height, this.#absent);
    const tileIndices = this.#tileIndicesUnder(rectangle);
    await Promise.all(
      tileIndices.map(async (tileIndex) => {
        const frame = this.#frameAt(tileIndex);
        if (frame) copyOverlap(await this.#tile(tileIndex, frame, signal), frame, raster, rectangle);
      }),
    );
    this.#evict(rectangle);
    repeatEdges(
      raster,
      Math.min(rectangle.width, this.width - rectangle.x),
      Math.min(rectangle.height, this.height - rectangle.y),
    );
    return raster;
  }

  #frameAt(tileIndex: number): FramePosition | undefined {
    const frame = this.#frameIndices.get(tileIndex);
    return frame === undefined ? undefined : this.#level.frames.at(frame);
  }

  #tileIndicesUnder(rectangle: Rectangle): number[] {
    const { rows, columns } = this.#level;
    const tileIndices: number[] = [];
    const bottom = Math.min(rectangle.y + rectangle.height, this.height);
    const right = Math.min(rectangle.x + rectangle.width, this.width);
    for (let row = Math.floor(rectangle.y / rows); row * rows < bottom; row++)
      for (let column = Math.floor(rectangle.x / columns); column * columns < right; column++)
        tileIndices.push(row * this.#across + column);
    return tileIndices;
  }

  #tile(tileIndex: number, frame: FramePosition, signal: AbortSignal): Promise<Raster> {
    const { rows: height, columns: width } = this.#level;
    let tile = this.#tiles.get(tileIndex);
    if (!tile) {
      tile = this.#decode(frame, signal).then((rgb) => ({ width, height, rgb }));
      this.#tiles.set(tileIndex, tile);
    }
    return tile;
  }

  #evict(last: Rectangle): void {
    const { rows, columns } = this.#level;
    for (const tileIndex of this.#tiles.keys()) {
      const top = Math.floor(tileIndex / this.#across) * rows;
      const bottom = top + rows;
      const right = ((tileIndex % this.#across) + 1) * columns;
      const isBefore =
        bottom <= last.y + last.height - OVERLAP &&
        (right <= last.x + last.width - OVERLAP || bottom <= last.y);
      // Left over from a window further down, when windows are sampled here and there.
      const isBelow = top >= last.y + last.height;
      if (isBefore || isBelow) this.#tiles.delete(tileIndex);
    }
  }
}
