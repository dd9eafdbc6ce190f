/** From normalised rectangles of the base level to the encoded frames of every derived image, in one pass. */
import { setImmediate } from 'node:timers/promises';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { FrameSpool, SavedFrames } from '../dicom/frame-spool.ts';
import type { GlassMap } from '../slide/glass-map.ts';
import { contentGrid } from '../slide/placement.ts';
import { type OpenTile, Pyramid, type Tile } from '../slide/pyramid.ts';
import { blankRaster, copyOverlap, type Raster, type Rgb, repeatEdges } from '../slide/raster.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import type { Rectangle } from '../slide/windows.ts';
import { FrameWriter, type WriterOptions } from './frame-writer.ts';
import type { OutputEncoding } from './types.ts';

export interface BuildOptions extends WriterOptions {
  readonly encoding: OutputEncoding;
  readonly quality: number;
  readonly codecs: CodecPool;
  /** Without it every tile is made of what is added. */
  readonly glass?: GlassTiles | undefined;
  /** Colour of what pads a level to whole tiles. */
  readonly padding: Rgb;
  /** The base level is only what the others are made of: no frame of it is made. */
  readonly withoutBase?: boolean;
}

/** The tiles of a slide that show nothing but glass, which stay as they are. */
export interface GlassTiles {
  readonly map: GlassMap;
  /** Colour where the slide has no tile. */
  readonly absent: Rgb;
  /** The pixels of a whole tile of the source. */
  pixels(level: Level, position: FramePosition): Promise<Raster>;
  /** A tile of the source as a frame of the result. */
  frame(level: Level, position: FramePosition): Promise<Uint8Array>;
}

/** What a builder has done, to go on from. */
export interface SavedLevels {
  readonly frames: readonly SavedFrames[];
  /** The tiles that are begun. */
  readonly tiles: Iterable<OpenTile>;
}

/** Encodes and spools every frame of every image as soon as its pixels are complete. */
export class LevelBuilder implements AsyncDisposable {
  readonly #images: readonly Level[];
  readonly #writer: FrameWriter;
  readonly #indexAt: readonly Map<number, number>[];
  readonly #pyramid: Pyramid;
  readonly #options: BuildOptions;

  /** @param images the base level first, then the others, finest first @param writer whose spools are those of the images */
  constructor(images: readonly Level[], writer: FrameWriter, options: BuildOptions) {
    this.#images = images;
    this.#writer = writer;
    this.#options = options;
    this.#indexAt = images.map(
      (image) => new Map(image.frames.map(({ x, y }, index) => [y * image.totalColumns + x, index])),
    );
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

  /** Goes on from what was saved; undefined where the spooled frames are not what they were. */
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

  /** Everything so far, on the disk. `tiles` holds only until more is added. */
  async save(): Promise<SavedLevels> {
    return { frames: await this.#writer.save(), tiles: this.#pyramid.save() };
  }

  /** Takes a normalised rectangle of the base level. Resolves when there is room for the next. */
  async add(core: Raster, at: { x: number; y: number }): Promise<void> {
    await this.#pyramid.add(core, at);
  }

  /** Whether a rectangle of the base level shows only glass tiles: it need not be added. */
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
          await this.#writer.write(image, frame, () => glass!.frame(level, level.frames[frame]!));
      }
    for (const [image, { frames, placement, rows, columns }] of made)
      for (const [frame, { x, y }] of frames.entries()) {
        if (x < placement.content.columns && y < placement.content.rows) continue;
        const blank = blankRaster(columns, rows, this.#options.padding);
        await this.#writer.write(image, frame, () => this.#encoded(image, blank.rgb));
      }
    await this.#writer.settle();
  }

  /** One per image; complete after `finish`. */
  get spools(): readonly FrameSpool[] {
    return this.#writer.spools;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#writer[Symbol.asyncDispose]();
  }

  /** Index of the frame at a place; undefined where the source has none, and then the result has none. */
  #frameAt(image: number, x: number, y: number): number | undefined {
    return this.#indexAt[image]!.get(y * this.#images[image]!.totalColumns + x);
  }

  async #glassPixels(glass: GlassTiles, image: number, x: number, y: number): Promise<Raster> {
    const level = this.#images[image]!;
    const frame = this.#frameAt(image, x, y);
    if (frame === undefined) return blankRaster(level.columns, level.rows, glass.absent);
    return glass.pixels(level, level.frames[frame]!);
  }

  #isMade(image: number): boolean {
    return image > 0 || !this.#options.withoutBase;
  }

  async #encode(image: number, tile: Tile): Promise<void> {
    if (!this.#isMade(image)) return;
    // A window finishes many tiles at once: requests are answered between two of them.
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
 * A tile at the edge of the slide as a whole frame. What is beyond the matrix is shown to nobody: repeating the edge
 * keeps the codec from ringing there.
 */
function paddedFrame({ x, y, raster }: Tile, level: Level, padding: Rgb): Uint8Array {
  const { columns: width, rows: height, totalColumns, totalRows } = level;
  if (raster.width === width && raster.height === height) {
    // The raster goes on into the next level, and the encoder takes its pixels away.
    return raster.rgb.slice();
  }
  const frame = blankRaster(width, height, padding);
  copyOverlap(raster, { x: 0, y: 0 }, frame, { x: 0, y: 0 });
  repeatEdges(frame, Math.min(width, totalColumns - x), Math.min(height, totalRows - y));
  return frame.rgb;
}
