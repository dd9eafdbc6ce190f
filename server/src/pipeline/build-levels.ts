/** Turns normalised rectangles of the base level into the encoded frames of every derived image, in one pass. */
import { setImmediate } from 'node:timers/promises';
import type { OutputEncoding } from '../../../core/src/contract/index.ts';
import { type OpenTile, Pyramid } from '../../../core/src/image/pyramid.ts';
import {
  blankRaster,
  copyOverlap,
  type Raster,
  type Rgb,
  repeatEdges,
} from '../../../core/src/image/raster.ts';
import type { Tile } from '../../../core/src/image/tile-grid.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { GlassMap } from '../slide/glass-map.ts';
import { contentGrid } from '../slide/placement.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import type { FrameSpool, SavedFrames } from '../spool/frame-spool.ts';
import { FrameWriter, type WriterOptions } from './frame-writer.ts';

export interface BuildOptions extends WriterOptions {
  readonly encoding: OutputEncoding;
  readonly quality: number;
  readonly codecs: CodecPool;
  /** If undefined, every tile is made from the rectangles that are added. */
  readonly glass?: GlassTiles | undefined;
  /** Colour that pads a level to whole tiles. */
  readonly padding: Rgb;
  /** The base level is only the source of the other levels: none of its frames is made. */
  readonly withoutBase?: boolean;
}

/** The tiles of a slide that show only glass; they stay as they are. */
export interface GlassTiles {
  readonly map: GlassMap;
  /** Colour of areas for which the slide has no tile. */
  readonly absent: Rgb;
  /** The pixels of a complete source tile. */
  pixels(level: Level, position: FramePosition, signal: AbortSignal): Promise<Raster>;
  /** A source tile, encoded as a frame of the result. */
  frame(level: Level, position: FramePosition, signal: AbortSignal): Promise<Uint8Array>;
}

/** Saved state of a builder, from which it can resume. */
export interface SavedLevels {
  readonly frames: readonly SavedFrames[];
  /** The unfinished tiles. */
  readonly tiles: Iterable<OpenTile>;
}

/** Encodes and spools every frame of every image as soon as its pixels are complete. */
export class LevelBuilder implements AsyncDisposable {
  readonly #images: readonly Level[];
  readonly #writer: FrameWriter;
  readonly #indexAt: readonly Map<number, number>[];
  readonly #pyramid: Pyramid;
  readonly #options: BuildOptions;

  /** @param images the base level first, then the others, finest first @param writer holds a spool for each image */
  constructor(images: readonly Level[], writer: FrameWriter, options: BuildOptions) {
    this.#images = images;
    this.#writer = writer;
    this.#options = options;
    this.#indexAt = images.map(({ frames, totalColumns }) => {
      const indexAt = new Map<number, number>();
      for (const [index, { x, y }] of frames.entries()) indexAt.set(y * totalColumns + x, index);
      return indexAt;
    });
    const { glass } = options;
    this.#pyramid = new Pyramid(
      images.map(contentGrid),
      (image, tile) => this.#encode(image, tile),
      glass && { map: glass.map, pixels: (image, x, y) => this.#glassPixels(glass, image, x, y) },
    );
  }

  /** @param images the base level first, then the others, finest first */
  static async create(images: readonly Level[], options: BuildOptions): Promise<LevelBuilder> {
    return new LevelBuilder(images, await FrameWriter.create(images, options), options);
  }

  /** Resumes from a saved state; returns undefined if the spooled frames no longer match it. */
  static async resume(
    images: readonly Level[],
    { frames, tiles }: SavedLevels,
    options: BuildOptions,
  ): Promise<LevelBuilder | undefined> {
    const writer = await FrameWriter.resume(frames, options);
    if (!writer) return undefined;
    const builder = new LevelBuilder(images, writer, options);
    for (const tile of tiles) builder.#pyramid.restore(tile);
    return builder;
  }

  /** Writes everything so far to disk. `tiles` is valid only until more is added. */
  async save(): Promise<SavedLevels> {
    return { frames: await this.#writer.save(), tiles: this.#pyramid.save() };
  }

  /** Adds a normalised rectangle of the base level. Resolves when there is room for the next. */
  async add(core: Raster, at: { x: number; y: number }): Promise<void> {
    await this.#pyramid.add(core, at);
  }

  /** Whether a rectangle of the base level shows only glass tiles, so that it need not be added. */
  isGlass(core: Rectangle): boolean {
    return this.#pyramid.isGlass(core);
  }

  /** Adds the glass and waits for the last frame. */
  async finish(): Promise<void> {
    const { glass } = this.#options;
    const made = [...this.#images.entries()].filter(([image]) => this.#isMade(image));
    for (const [image, level] of made)
      for (const { x, y } of glass ? this.#pyramid.glassTiles(image) : []) {
        const frame = this.#frameAt(image, x, y);
        if (frame !== undefined)
          await this.#writer.write(image, frame, () =>
            glass!.frame(level, level.frames.at(frame)!, this.#options.signal),
          );
      }
    for (const [image, { frames, placement, rows, columns }] of made)
      for (const [frame, { x, y }] of frames.entries()) {
        if (x < placement.content.columns && y < placement.content.rows) continue;
        const blank = blankRaster(columns, rows, this.#options.padding);
        await this.#writer.write(image, frame, () => this.#encoded(image, blank.rgb));
      }
    await this.#writer.settle();
  }

  /** One spool per image; complete after `finish`. */
  get spools(): readonly FrameSpool[] {
    return this.#writer.spools;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#writer[Symbol.asyncDispose]();
  }

  /** Index of the frame at a position; undefined if the source has none there, and then the result has none either. */
  #frameAt(image: number, x: number, y: number): number | undefined {
    return this.#indexAt[image]!.get(y * this.#images[image]!.totalColumns + x);
  }

  async #glassPixels(glass: GlassTiles, image: number, x: number, y: number): Promise<Raster> {
    const level = this.#images[image]!;
    const frame = this.#frameAt(image, x, y);
    if (frame === undefined) return blankRaster(level.columns, level.rows, glass.absent);
    return glass.pixels(level, level.frames.at(frame)!, this.#options.signal);
  }

  #isMade(image: number): boolean {
    return image > 0 || !this.#options.withoutBase;
  }

  async #encode(image: number, tile: Tile): Promise<void> {
    if (!this.#isMade(image)) return;
    // A window completes many tiles at once: let requests be answered between two of them.
    await setImmediate();
    const frame = this.#frameAt(image, tile.x, tile.y);
    if (frame === undefined) return;
    const level = this.#images[image]!;
    await this.#writer.write(image, frame, () =>
      this.#encoded(image, paddedFrame(tile, level, this.#options.padding)),
    );
  }

  #encoded(image: number, rgb: Uint8Array): Promise<Uint8Array> {
    const { codecs, encoding, quality, signal } = this.#options;
    const { rows, columns } = this.#images[image]!;
    return codecs.encode(rgb, { rows, columns, encoding, quality }, signal);
  }
}

/**
 * Pads a tile at the edge of the slide to a whole frame. Nobody sees what lies beyond the matrix: repeating the edge
 * keeps the codec from ringing there.
 */
function paddedFrame({ x, y, raster }: Tile, level: Level, padding: Rgb): Uint8Array {
  const { columns: width, rows: height, totalColumns, totalRows } = level;
  if (raster.width === width && raster.height === height) return raster.rgb;
  const frame = blankRaster(width, height, padding);
  copyOverlap(raster, { x: 0, y: 0 }, frame, { x: 0, y: 0 });
  repeatEdges(frame, Math.min(width, totalColumns - x), Math.min(height, totalRows - y));
  return frame.rgb;
}
