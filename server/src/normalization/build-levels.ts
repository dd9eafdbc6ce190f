/** From normalised rectangles of the base level to the encoded frames of every derived image, in one pass. */
import { join } from 'node:path';
import type { CodecPool } from '../codec/codec-pool.ts';
import { FrameSpool } from '../dicom/frame-spool.ts';
import { Pyramid, type Tile } from '../slide/pyramid.ts';
import { blankRaster, copyOverlap, type Raster, repeatEdges } from '../slide/raster.ts';
import type { Level } from '../slide/types.ts';
import type { Spool } from './spool.ts';
import type { OutputEncoding } from './types.ts';

export interface BuildOptions {
  readonly encoding: OutputEncoding;
  readonly quality: number;
  readonly codecs: CodecPool;
  readonly spool: Spool;
  readonly signal: AbortSignal;
  /** Frames that may be in the encoder at once: bounds memory, keeps the codec threads busy. */
  readonly concurrency: number;
}

/** Encodes and spools every frame of every image as soon as its pixels are complete. */
export class LevelBuilder implements AsyncDisposable {
  readonly #images: readonly Level[];
  readonly #spools: readonly FrameSpool[];
  readonly #indexAt: readonly Map<number, number>[];
  readonly #pyramid: Pyramid;
  readonly #options: BuildOptions;
  readonly #encoding = new Set<Promise<void>>();
  #failure: unknown;

  private constructor(images: readonly Level[], spools: readonly FrameSpool[], options: BuildOptions) {
    this.#images = images;
    this.#spools = spools;
    this.#options = options;
    this.#indexAt = images.map(
      (image) => new Map(image.frames.map(({ x, y }, index) => [y * image.totalColumns + x, index])),
    );
    this.#pyramid = new Pyramid(images, (image, tile) => this.#encode(image, tile));
  }

  /** @param images the base level first, then the others, finest first */
  static async create(images: readonly Level[], options: BuildOptions): Promise<LevelBuilder> {
    const spools: FrameSpool[] = [];
    for (const [i, image] of images.entries())
      spools.push(await FrameSpool.create(join(options.spool.directory, `frames-${i}`), image.frames.length));
    return new LevelBuilder(images, spools, options);
  }

  /** Takes a normalised rectangle of the base level. Resolves when there is room for the next. */
  async add(core: Raster, at: { x: number; y: number }): Promise<void> {
    await this.#pyramid.add(core, at);
  }

  /** Waits for the last frame and gives the spools, one per image. */
  async finish(): Promise<readonly FrameSpool[]> {
    await Promise.all(this.#encoding);
    if (this.#failure) throw this.#failure;
    return this.#spools;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#encoding);
    for (const spool of this.#spools) await spool.close();
  }

  async #encode(image: number, tile: Tile): Promise<void> {
    if (this.#failure) throw this.#failure;
    const level = this.#images[image]!;
    const frame = this.#indexAt[image]!.get(tile.y * level.totalColumns + tile.x);
    if (frame === undefined) return; // A place where the source has no tile has none in the result.
    while (this.#encoding.size >= this.#options.concurrency) await Promise.race(this.#encoding);
    const { codecs, encoding, quality, signal } = this.#options;
    const { rows, columns } = level;
    const task = codecs
      .encode(paddedFrame(tile.raster, columns, rows), { rows, columns, encoding, quality }, signal)
      .then((bytes) => this.#spools[image]!.append(frame, bytes))
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#encoding.delete(task));
    this.#encoding.add(task);
  }
}

/** A tile at the edge of the slide as a whole frame; repeating the edge keeps the codec from ringing there. */
function paddedFrame(raster: Raster, width: number, height: number): Uint8Array {
  if (raster.width === width && raster.height === height) {
    // The raster goes on into the next level, and the encoder takes its pixels away.
    return raster.rgb.slice();
  }
  const frame = blankRaster(width, height);
  copyOverlap(raster, { x: 0, y: 0 }, frame, { x: 0, y: 0 });
  repeatEdges(frame, raster.width, raster.height);
  return frame.rgb;
}
