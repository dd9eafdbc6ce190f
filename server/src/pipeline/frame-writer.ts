/** Makes encoded frames, several at once, and spools each as soon as it is ready. */

import type { Level } from '../slide/types.ts';
import { FrameSpool, type SavedFrames } from '../spool/frame-spool.ts';
import type { Spool } from '../spool/spool.ts';

export interface WriterOptions {
  readonly spool: Spool;
  readonly signal: AbortSignal;
  /** Maximum number of frames made at once: bounds memory, and keeps the codec threads busy. */
  readonly concurrency: number;
}

export class FrameWriter implements AsyncDisposable {
  /** One per image. */
  readonly spools: readonly FrameSpool[];
  readonly #options: WriterOptions;
  readonly #making: Set<Promise<void>>;
  #failure: unknown;

  private constructor(
    spools: readonly FrameSpool[],
    options: WriterOptions,
    making: Set<Promise<void>> = new Set(),
  ) {
    this.spools = spools;
    this.#options = options;
    this.#making = making;
  }

  static async create(images: readonly Level[], options: WriterOptions): Promise<FrameWriter> {
    await using opened = new AsyncDisposableStack();
    const spools: FrameSpool[] = [];
    for (const [i, { frames }] of images.entries())
      spools.push(opened.use(await FrameSpool.create(options.spool.newFile(`frames-${i}`), frames.length)));
    opened.move();
    return new FrameWriter(spools, options);
  }

  /** Resumes from a saved state; returns undefined if the spooled frames no longer match it. */
  static async resume(
    saved: readonly SavedFrames[],
    options: WriterOptions,
  ): Promise<FrameWriter | undefined> {
    await using opened = new AsyncDisposableStack();
    const spools: FrameSpool[] = [];
    for (const [i, frames] of saved.entries()) {
      const spool = await FrameSpool.resume(options.spool.newFile(`frames-${i}`), frames, options.signal);
      if (!spool) return undefined;
      spools.push(opened.use(spool));
    }
    opened.move();
    return new FrameWriter(spools, options);
  }

  /**
   * A writer for some of the images. This writer keeps the spools, and waits for the part's frames before it closes
   * them.
   */
  part(images: readonly number[]): FrameWriter {
    return new FrameWriter(
      images.map((image) => this.spools[image]!),
      this.#options,
      this.#making,
    );
  }

  /** Starts a frame as soon as there is room for it. @throws the error of an earlier frame */
  write(image: number, frame: number, make: () => Promise<Uint8Array>): Promise<void> {
    return this.writeAll(image, [frame], async () => [await make()]);
  }

  /** Same as `write`, for frames that are made together. */
  async writeAll(
    image: number,
    frames: readonly number[],
    make: () => Promise<readonly Uint8Array[]>,
  ): Promise<void> {
    this.#options.signal.throwIfAborted();
    while (this.#making.size >= this.#options.concurrency) await Promise.race(this.#making);
    if (this.#failure) throw this.#failure;
    const task = make()
      .then(async (made) => {
        for (const [i, bytes] of made.entries()) {
          await this.#options.spool.take(bytes.length);
          await this.spools[image]!.append(frames[i]!, bytes);
        }
      })
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => this.#making.delete(task));
    this.#making.add(task);
  }

  /** Waits for all frames in progress. */
  async settle(): Promise<void> {
    await Promise.all(this.#making);
    if (this.#failure) throw this.#failure;
  }

  /** Writes every frame so far to disk. */
  async save(): Promise<SavedFrames[]> {
    await this.settle();
    const frames: SavedFrames[] = [];
    for (const spool of this.spools) frames.push(await spool.save());
    return frames;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#making);
    for (const spool of this.spools) await spool.close();
  }
}
