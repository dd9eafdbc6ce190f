/** Positional reads from a file through a small window: neighbouring reads cost a single system call. */
import type { FileHandle } from 'node:fs/promises';
import { StainError } from '../../../core/src/errors.ts';

const WINDOW_BYTES = 64 * 1024;
/** Read-ahead when a file is read front to back: a system call costs as much as copying a frame. */
const AHEAD_BYTES = 1024 * 1024;
/** Covers item headers and whatever else lies between two consecutive frames. */
const GAP_BYTES = 1024;

export class FileWindow {
  readonly size: number;
  readonly #file: FileHandle;
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
    const inside = position >= this.#start && position + length <= this.#start + this.#window.length;
    if (!inside) {
      const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.size - position);
      this.#window = await this.read(position, Math.max(wanted, length));
      this.#start = position;
    }
    return this.#window.subarray(position - this.#start, position - this.#start + length);
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
    if (position + length > this.size)
      throw new StainError(
        'DICOM_INVALID',
        `The file ends at byte ${this.size}; ${length} bytes at ${position} were expected.`,
      );
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const { bytesRead } = await this.#file.read(bytes, done, length - done, position + done);
      if (bytesRead === 0)
        throw new StainError('DICOM_INVALID', 'The file became shorter while it was read.');
      done += bytesRead;
    }
    return bytes;
  }
}
