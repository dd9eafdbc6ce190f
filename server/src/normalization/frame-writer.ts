/** Makes encoded frames, several at once, and spools each as soon as it is made. */
import { FrameSpool, type SavedFrames } from '../dicom/frame-spool.ts';
import type { Level } from '../slide/types.ts';
import type { Spool } from './spool.ts';

export interface WriterOptions {
  readonly spool: Spool;
  readonly signal: AbortSignal;
  /** Frames that may be made at once: bounds memory, keeps the codec threads busy. */
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

  /** Goes on from what was saved; undefined where the spooled frames are not what they were. */
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

  /** A writer into the spools of some images. The spools stay with this one, which waits for what the part makes before it closes them. */
  part(images: readonly number[]): FrameWriter {
    return new FrameWriter(
      images.map((image) => this.spools[image]!),
      this.#options,
      this.#making,
    );
  }

  /** Begins a frame as soon as there is room for it. @throws what an earlier one has failed with */
  write(image: number, frame: number, make: () => Promise<Uint8Array>): Promise<void> {
    return this.writeAll(image, [frame], async () => [await make()]);
  }

  /** The same of frames that are made together. */
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

  /** Waits for the frames that are being made. */
  async settle(): Promise<void> {
    await Promise.all(this.#making);
    if (this.#failure) throw this.#failure;
  }

  /** Every frame so far, on the disk. */
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
