/** The largest memory that is kept: frames are usually far smaller. */
const MAX_KEPT = 16 * 2 ** 20;

/**
 * Memory that is used again for the next frame. V8 collects garbage after every 64 MB of new buffers, which is some
 * hundred frames.
 */
export class Scratch {
  #kept: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  /** Bytes of any content; valid until the next call. */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > MAX_KEPT) return new Uint8Array(length);
    if (this.#kept.length < length) this.#kept = new Uint8Array(length);
    return this.#kept.subarray(0, length);
  }
}
