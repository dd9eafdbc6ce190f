/** Pixels of one plane, readable by rectangle: a level of a slide or a picture in memory. */
import { blankRaster, copyOverlap, type Raster, type Rgb, repeatEdges } from './raster.ts';
import type { FramePosition, Level } from './types.ts';
import { intersection, type Rectangle } from './windows.ts';

export interface PixelSource {
  readonly width: number;
  readonly height: number;
  /**
   * Pixels of the rectangle. What lies beyond the plane's right or lower edge repeats the last column or row;
   * where the slide has no tile, the pixels are glass.
   */
  read(rectangle: Rectangle, signal: AbortSignal): Promise<Raster>;
  /** The parts of the rectangle that the slide has tiles for; empty where it has none. */
  coverage(rectangle: Rectangle): Rectangle[];
}

/**
 * A picture that is in memory already.
 * @param parts where the picture has pixels of its own, if not everywhere
 */
export function memorySource(picture: Raster, parts?: readonly Rectangle[]): PixelSource {
  const covered = parts ?? [{ x: 0, y: 0, width: picture.width, height: picture.height }];
  return {
    width: picture.width,
    height: picture.height,
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

/** A slide has a few hundred thousand frames, and a level several readers. */
const places = new WeakMap<Level, ReadonlyMap<number, FramePosition>>();

/** The frames of a level by their place in its grid, row by row. */
function framesByPlace(level: Level): ReadonlyMap<number, FramePosition> {
  const known = places.get(level);
  if (known) return known;
  const across = Math.ceil(level.totalColumns / level.columns);
  const place = ({ x, y }: FramePosition): number =>
    Math.floor(y / level.rows) * across + Math.floor(x / level.columns);
  const found = new Map(level.frames.map((frame) => [place(frame), frame]));
  places.set(level, found);
  return found;
}

/** Windows overlap by two halos; a tile within this distance of a window's far edges may be asked for again. */
const OVERLAP = 64;

/**
 * The slide on a level, without what pads it, read through a cache of decoded tiles. Windows come row by row, from left to right, so a tile that lies
 * before the far edges of the last window is not needed again. Memory is bounded by one window and one row of tiles,
 * whatever the slide's height; another order of reading costs time, not correctness.
 */
export class LevelSource implements PixelSource {
  readonly width: number;
  readonly height: number;
  readonly #level: Level;
  readonly #decode: TileDecoder;
  readonly #absent: Rgb;
  readonly #across: number;
  readonly #frameAt: ReadonlyMap<number, FramePosition>;
  readonly #tiles = new Map<number, Promise<Raster>>();

  constructor(level: Level, decode: TileDecoder, absent: Rgb) {
    this.width = level.placement.content.columns;
    this.height = level.placement.content.rows;
    this.#level = level;
    this.#decode = decode;
    this.#absent = absent;
    this.#across = Math.ceil(level.totalColumns / level.columns);
    this.#frameAt = framesByPlace(level);
  }

  coverage(rectangle: Rectangle): Rectangle[] {
    const { columns: width, rows: height } = this.#level;
    const plane = { x: 0, y: 0, width: this.width, height: this.height };
    return this.#placesUnder(rectangle)
      .map((place) => this.#frameAt.get(place))
      .filter((frame) => frame !== undefined)
      .map(({ x, y }) => intersection(intersection({ x, y, width, height }, rectangle), plane));
  }

  async read(rectangle: Rectangle, signal: AbortSignal): Promise<Raster> {
    const raster = blankRaster(rectangle.width, rectangle.height, this.#absent);
    const places = this.#placesUnder(rectangle);
    await Promise.all(
      places.map(async (place) => {
        const frame = this.#frameAt.get(place);
        if (frame) copyOverlap(await this.#tile(place, frame, signal), frame, raster, rectangle);
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

  #placesUnder(rectangle: Rectangle): number[] {
    const { rows, columns } = this.#level;
    const places: number[] = [];
    const bottom = Math.min(rectangle.y + rectangle.height, this.height);
    const right = Math.min(rectangle.x + rectangle.width, this.width);
    for (let row = Math.floor(rectangle.y / rows); row * rows < bottom; row++)
      for (let column = Math.floor(rectangle.x / columns); column * columns < right; column++)
        places.push(row * this.#across + column);
    return places;
  }

  #tile(place: number, frame: FramePosition, signal: AbortSignal): Promise<Raster> {
    const { rows: height, columns: width } = this.#level;
    let tile = this.#tiles.get(place);
    if (!tile) {
      tile = this.#decode(frame, signal).then((rgb) => ({ width, height, rgb }));
      this.#tiles.set(place, tile);
    }
    return tile;
  }

  #evict(last: Rectangle): void {
    const { rows, columns } = this.#level;
    for (const place of this.#tiles.keys()) {
      const top = Math.floor(place / this.#across) * rows;
      const bottom = top + rows;
      const right = ((place % this.#across) + 1) * columns;
      const isBefore =
        bottom <= last.y + last.height - OVERLAP &&
        (right <= last.x + last.width - OVERLAP || bottom <= last.y);
      // Left over from a window further down, where windows are sampled here and there.
      const isBelow = top >= last.y + last.height;
      if (isBefore || isBelow) this.#tiles.delete(place);
    }
  }
}
