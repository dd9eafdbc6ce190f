/** Encoded frames on disk until the instance is sent. Frames come in any order; memory is 12 bytes a frame. */
import { type FileHandle, open, rm } from 'node:fs/promises';
import { StainError, toStainError } from '../errors.ts';

/** Frames are read in batches of about this size: few system calls, little memory. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** Reading over a gap of this size is cheaper than a second system call. */
const GAP_BYTES = 64 * 1024;

/** Encoded frames of one instance, all of them there. */
export interface EncodedFrames {
  readonly frameCount: number;
  /** Bytes of the frame, 0-based. */
  frameLength(index: number): number;
  /** All frames in frame order. */
  frames(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export class FrameSpool implements EncodedFrames, AsyncDisposable {
  readonly frameCount: number;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #offsets: Float64Array;
  /** 0 for a frame that is not there yet. */
  readonly #lengths: Uint32Array;
  #end = 0;
  #closed: Promise<void> | undefined;

  private constructor(path: string, file: FileHandle, frameCount: number) {
    this.#path = path;
    this.#file = file;
    this.frameCount = frameCount;
    this.#offsets = new Float64Array(frameCount);
    this.#lengths = new Uint32Array(frameCount);
  }

  /** @param path a file that does not exist yet; it is removed by `close` */
  static async create(path: string, frameCount: number): Promise<FrameSpool> {
    try {
      return new FrameSpool(path, await open(path, 'wx+', 0o600), frameCount);
    } catch (error) {
      throw toStainError(error);
    }
  }

  /** Bytes of all frames so far. */
  get totalBytes(): number {
    return this.#end;
  }

  /**
   * Stores a frame, 0-based; calls may overlap.
   * @throws SPOOL_FULL, INTERNAL for a frame that is there already, is empty or is none of this instance
   */
  async append(index: number, bytes: Uint8Array): Promise<void> {
    if (!Number.isInteger(index) || index < 0 || index >= this.frameCount || bytes.length === 0)
      throw new StainError('INTERNAL', `Frame ${index} of ${bytes.length} bytes cannot be spooled.`);
    if (this.#lengths[index] !== 0) throw new StainError('INTERNAL', `Frame ${index} was spooled twice.`);
    // The place is taken before the first await, so that overlapping calls do not meet.
    const offset = this.#end;
    this.#end += bytes.length;
    this.#offsets[index] = offset;
    this.#lengths[index] = bytes.length;
    try {
      for (let done = 0; done < bytes.length; )
        done += (await this.#file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
    } catch (error) {
      throw toStainError(error);
    }
  }

  /** @throws INTERNAL for a frame that is not there */
  frameLength(index: number): number {
    const length = this.#lengths[index];
    if (!length) throw new StainError('INTERNAL', `Frame ${index} was not spooled.`);
    return length;
  }

  async *frames(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let first = 0; first < this.frameCount; ) {
      signal?.throwIfAborted();
      let [end, size] = [first, 0];
      while (end < this.frameCount && (end === first || size + this.frameLength(end) <= BATCH_BYTES))
        size += this.frameLength(end++);
      yield* await this.#readBatch(first, end);
      first = end;
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#file.close().then(() => rm(this.#path, { force: true }));
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Frames that lie side by side in the file are read at once. */
  async #readBatch(first: number, end: number): Promise<Uint8Array[]> {
    const inFileOrder = Array.from({ length: end - first }, (_, i) => first + i).sort(
      (a, b) => this.#offsets[a]! - this.#offsets[b]!,
    );
    const batch = new Array<Uint8Array>(end - first);
    for (let i = 0; i < inFileOrder.length; ) {
      const start = this.#offsets[inFileOrder[i]!]!;
      let [next, stop] = [i, start];
      while (next < inFileOrder.length && this.#offsets[inFileOrder[next]!]! - stop <= GAP_BYTES) {
        const frame = inFileOrder[next++]!;
        stop = this.#offsets[frame]! + this.#lengths[frame]!;
      }
      const run = await this.#read(start, stop - start);
      for (const frame of inFileOrder.slice(i, next)) {
        const at = this.#offsets[frame]! - start;
        batch[frame - first] = run.subarray(at, at + this.#lengths[frame]!);
      }
      i = next;
    }
    return batch;
  }

  async #read(position: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, position + done);
      if (bytesRead === 0)
        throw new StainError('INTERNAL', 'The spool is shorter than what was written into it.');
      done += bytesRead;
    }
    return bytes;
  }
}
