/** Encoded frames on disk until the instance is sent. Frames arrive in any order; each takes 18 bytes of memory. */
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { StainError, toStainError } from '../../../core/src/errors.ts';

/** Frames are read in batches of about this size: few system calls, little memory. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** Frames are collected up to this size before they are written. */
const WRITE_BYTES = 1024 * 1024;
/** It is cheaper to read over a gap of this size than to make a second system call. */
const GAP_BYTES = 64 * 1024;

/** All encoded frames of one instance. */
export interface EncodedFrames {
  readonly frameCount: number;
  /** Size of the frame in bytes. @param index 0-based */
  frameLength(index: number): number;
  /** All frames in frame order. Each is valid until the next is asked for. */
  frames(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** Where the frames of a spool lie, so that another process can continue with them. */
export interface SavedFrames {
  /** File names, in the folder of the spool. */
  readonly files: readonly string[];
  /** For each frame: index of its file, its offset and length there (0 if missing), and the CRC-32 of its bytes. */
  readonly file: Uint16Array;
  readonly offsets: Float64Array;
  readonly lengths: Uint32Array;
  readonly checksums: Uint32Array;
}

/**
 * A spool writes into a file of its own. Frames spooled earlier by another process stay in that process's file, which
 * is only read: if that process is still alive, it can destroy nothing.
 */
export class FrameSpool implements EncodedFrames, AsyncDisposable {
  readonly #files: readonly { readonly name: string; readonly handle: FileHandle }[];
  /** Index of our own file: the last one. */
  readonly #own: number;
  readonly #index: SavedFrames;
  #end = 0;
  /** The latest frames, not yet written to the file. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #written: Promise<void> = Promise.resolve();
  #totalBytes: number;
  #closed: Promise<void> | undefined;

  private constructor(
    files: readonly { readonly name: string; readonly handle: FileHandle }[],
    index: Omit<SavedFrames, 'files'>,
  ) {
    this.#files = files;
    this.#own = files.length - 1;
    this.#index = { ...index, files: files.map(({ name }) => name) };
    this.#totalBytes = index.lengths.reduce((sum, length) => sum + length, 0);
  }

  /** @param path a file that does not exist yet. The owner of its folder removes it */
  static async create(path: string, frameCount: number): Promise<FrameSpool> {
    return new FrameSpool([{ name: basename(path), handle: await openFile(path, 'wx+') }], {
      file: new Uint16Array(frameCount),
      offsets: new Float64Array(frameCount),
      lengths: new Uint32Array(frameCount),
      checksums: new Uint32Array(frameCount),
    });
  }

  /**
   * Resumes from a saved state, after verifying every byte of it.
   * @param path a file that does not exist yet, in the folder of the saved ones
   * @returns undefined if a file or frame differs from what was saved
   */
  static async resume(
    path: string,
    { files, ...index }: SavedFrames,
    signal: AbortSignal,
  ): Promise<FrameSpool | undefined> {
    await using opened = new AsyncDisposableStack();
    const all: { name: string; handle: FileHandle }[] = [];
    for (const name of files) {
      const handle = await open(join(dirname(path), name), 'r').catch(() => undefined);
      if (!handle) return undefined;
      all.push({ name, handle: opened.use(handle) });
    }
    const spool = new FrameSpool(
      [...all, { name: basename(path), handle: opened.use(await openFile(path, 'wx+')) }],
      index,
    );
    if (!(await spool.#isIntact(signal))) return undefined;
    opened.move();
    return spool;
  }

  get frameCount(): number {
    return this.#index.lengths.length;
  }

  /** Bytes of all frames so far. */
  get totalBytes(): number {
    return this.#totalBytes;
  }

  /**
   * Stores a frame; calls may overlap. The frame is on disk after `save`, or when frames are read. @param index 0-based
   * @throws SPOOL_FULL; INTERNAL for a frame that is already there, is empty or does not belong to this instance
   */
  async append(index: number, bytes: Uint8Array): Promise<void> {
    const { file, offsets, lengths, checksums } = this.#index;
    if (!Number.isInteger(index) || index < 0 || index >= this.frameCount || bytes.length === 0)
      throw new StainError('INTERNAL', `Frame ${index} of ${bytes.length} bytes cannot be spooled.`);
    if (lengths[index] !== 0) throw new StainError('INTERNAL', `Frame ${index} was spooled twice.`);
    // The space is claimed before the first await, so that overlapping calls do not collide.
    const offset = this.#end;
    this.#end += bytes.length;
    this.#totalBytes += bytes.length;
    file[index] = this.#own;
    offsets[index] = offset;
    lengths[index] = bytes.length;
    checksums[index] = crc32(bytes);
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    if (this.#pendingBytes >= WRITE_BYTES) await this.#write();
  }

  /** Writes pending frames behind the current write. @throws SPOOL_FULL, now and in every later call */
  #write(): Promise<void> {
    const [parts, start] = [this.#pending, this.#end - this.#pendingBytes];
    [this.#pending, this.#pendingBytes] = [[], 0];
    if (parts.length > 0) {
      this.#written = this.#written.then(() => this.#writeAt(start, parts));
      // Whoever awaits it gets the failure.
      this.#written.catch(() => {});
    }
    return this.#written;
  }

  async #writeAt(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    const { handle } = this.#files[this.#own]!;
    try {
      for (let [left, at] = [parts, offset]; left.length > 0; ) {
        const { bytesWritten } = await handle.writev(left, at);
        [left, at] = [without(left, bytesWritten), at + bytesWritten];
      }
    } catch (error) {
      throw toStainError(error);
    }
  }

  /** Writes everything so far to disk. Do not call while frames are being appended. */
  async save(): Promise<SavedFrames> {
    await this.#write();
    try {
      await this.#files[this.#own]!.handle.datasync();
    } catch (error) {
      throw toStainError(error);
    }
    return this.#index;
  }

  has(index: number): boolean {
    return this.#index.lengths[index] !== 0;
  }

  /** @throws INTERNAL for a missing frame */
  frameLength(index: number): number {
    const length = this.#index.lengths[index];
    if (!length) throw new StainError('INTERNAL', `Frame ${index} was not spooled.`);
    return length;
  }

  async *frames(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    await this.#write();
    const memory = new Uint8Array(Math.min(2 * BATCH_BYTES, this.#totalBytes));
    for (const batch of batches([...this.#index.lengths.keys()], (frame) => this.frameLength(frame))) {
      signal?.throwIfAborted();
      yield* await this.#readBatch(batch, memory);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#written
      .catch(() => {})
      .then(() => Promise.all(this.#files.map(({ handle }) => handle.close())))
      .then(() => {});
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #isIntact(signal: AbortSignal): Promise<boolean> {
    const { lengths, checksums } = this.#index;
    const there = [...lengths.keys()].filter((frame) => lengths[frame] !== 0);
    try {
      for (const frames of batches(there, (frame) => lengths[frame]!)) {
        signal.throwIfAborted();
        for (const [i, bytes] of (await this.#readBatch(frames)).entries())
          if (crc32(bytes) !== checksums[frames[i]!]) return false;
      }
    } catch (error) {
      if (error instanceof StainError) return false;
      throw error;
    }
    return true;
  }

  /** Adjacent frames of a file are read at once. @param memory holds them as long as there is room in it */
  async #readBatch(frames: readonly number[], memory = new Uint8Array(0)): Promise<Uint8Array[]> {
    const { file, offsets, lengths } = this.#index;
    let used = 0;
    const inFileOrder = [...frames.keys()].sort(
      (a, b) => file[frames[a]!]! - file[frames[b]!]! || offsets[frames[a]!]! - offsets[frames[b]!]!,
    );
    const batch = new Array<Uint8Array>(frames.length);
    for (let i = 0; i < inFileOrder.length; ) {
      const first = frames[inFileOrder[i]!]!;
      const start = offsets[first]!;
      let [next, stop] = [i, start];
      for (; next < inFileOrder.length; next++) {
        const frame = frames[inFileOrder[next]!]!;
        const isFar = offsets[frame]! - stop > GAP_BYTES || offsets[frame]! - start > 2 * BATCH_BYTES;
        if (file[frame] !== file[first] || isFar) break;
        stop = offsets[frame]! + lengths[frame]!;
      }
      const length = stop - start;
      const isRoom = used + length <= memory.length;
      const run = isRoom ? memory.subarray(used, used + length) : new Uint8Array(length);
      used += length;
      await this.#read(file[first]!, start, run);
      for (const place of inFileOrder.slice(i, next)) {
        const frame = frames[place]!;
        const at = offsets[frame]! - start;
        batch[place] = run.subarray(at, at + lengths[frame]!);
      }
      i = next;
    }
    return batch;
  }

  async #read(file: number, position: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#files[file]!.handle.read(
        into,
        done,
        into.length - done,
        position + done,
      );
      if (bytesRead === 0)
        throw new StainError('INTERNAL', 'The spool file is shorter than what was written.');
      done += bytesRead;
    }
  }
}

async function openFile(path: string, flags: string): Promise<FileHandle> {
  try {
    return await open(path, flags, 0o600);
  } catch (error) {
    throw toStainError(error);
  }
}

/** What remains of consecutive parts after their first bytes. */
function without(parts: readonly Uint8Array[], bytes: number): readonly Uint8Array[] {
  let [first, gone] = [0, bytes];
  while (first < parts.length && gone >= parts[first]!.length) gone -= parts[first++]!.length;
  return gone === 0 ? parts.slice(first) : [parts[first]!.subarray(gone), ...parts.slice(first + 1)];
}

/** Groups frames into runs of about BATCH_BYTES. */
function* batches(frames: readonly number[], lengthOf: (frame: number) => number): Generator<number[]> {
  let [batch, size]: [number[], number] = [[], 0];
  for (const frame of frames) {
    if (batch.length > 0 && size + lengthOf(frame) > BATCH_BYTES) {
      yield batch;
      [batch, size] = [[], 0];
    }
    batch.push(frame);
    size += lengthOf(frame);
  }
  if (batch.length > 0) yield batch;
}
