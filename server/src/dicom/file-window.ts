/** Positional reads from a file through a small window: neighbouring reads cost a single system call. */
import type { FileHandle } from 'node:fs/promises';
import { StainError } from '../../../core/src/errors.ts';

/** First size of the window. It doubles, up to the read-ahead, as long as one window follows another. */
const WINDOW_BYTES = 64 * 1024;
/** Read-ahead when a file is read front to back: a system call costs as much as copying a frame. */
const AHEAD_BYTES = 1024 * 1024;
/** Covers item headers and whatever else lies between two consecutive frames. */
const GAP_BYTES = 1024;

export class FileWindow {
  readonly size: number;
  readonly #file: FileHandle;
  /** Memory of the window, which the next one uses again. */
  #buffer: Uint8Array = new Uint8Array(0);
  #window: Uint8Array = new Uint8Array(0);
  #start = 0;
  #ahead: { start: number; end: number; bytes: Promise<Uint8Array> } = {
    start: 0,
    end: 0,
    bytes: Promise.resolve(new Uint8Array(0)),
  };
  /** End of the last copy. */
  #end = -1;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** Bytes from the window; valid until the next call. @throws DICOM_INVALID beyond the end of the file */
  async peek(position: number, length: number): Promise<Uint8Array> {
    const end = this.#start + this.#window.length;
    if (position < this.#start || position + length > end) {
      this.#requireInside(position, length);
      const isNext = position >= this.#start && position <= end + this.#window.length;
      const size = isNext ? Math.min(AHEAD_BYTES, 2 * this.#window.length) : WINDOW_BYTES;
      const wanted = Math.max(length, Math.min(Math.max(size, WINDOW_BYTES), this.size - position));
      if (wanted > this.#buffer.length) this.#buffer = new Uint8Array(wanted);
      // Whatever it showed is gone if reading fails.
      this.#window = new Uint8Array(0);
      await this.#fill(this.#buffer.subarray(0, wanted), position);
      this.#window = this.#buffer.subarray(0, wanted);
      this.#start = position;
    }
    return this.#window.subarray(position - this.#start, position - this.#start + length);
  }

  /** Gives back the window's memory: a file may stay open for long. */
  forget(): void {
    this.#buffer = new Uint8Array(0);
    this.#window = this.#buffer;
  }

  /** Same as `read`, but reads ahead if one copy follows another. @throws DICOM_INVALID beyond the end of the file */
  async readOn(position: number, length: number): Promise<Uint8Array> {
    const isNext = position >= this.#end && position <= this.#end + GAP_BYTES;
    this.#end = position + length;
    const isInside = position >= this.#ahead.start && position + length <= this.#ahead.end;
    if (!isInside) {
      const size = Math.min(AHEAD_BYTES, this.size - position);
      if (!isNext || size < length) return this.read(position, length);
      this.#ahead = { start: position, end: position + size, bytes: this.read(position, size) };
    }
    const { start, bytes } = this.#ahead;
    return (await bytes).slice(position - start, position - start + length);
  }

  /** A copy of these bytes. @throws DICOM_INVALID beyond the end of the file */
  async read(position: number, length: number): Promise<Uint8Array> {
    this.#requireInside(position, length);
    const bytes = new Uint8Array(length);
    await this.#fill(bytes, position);
    return bytes;
  }

  /** Before memory is allocated: a damaged length may be anything. */
  #requireInside(position: number, length: number): void {
    if (position + length > this.size)
      throw new StainError(
        'DICOM_INVALID',
        `The file ends at byte ${this.size}; ${length} bytes at ${position} were expected.`,
      );
  }

  async #fill(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await this.#file.read(bytes, done, bytes.length - done, position + done);
      if (bytesRead === 0)
        throw new StainError('DICOM_INVALID', 'The file became shorter while it was read.');
      done += bytesRead;
    }
  }
}
