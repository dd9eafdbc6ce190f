/** Collects bytes that arrive in pieces: growing neither copies nor doubles what is there. */
const BLOCK_BYTES = 2 ** 20;

export class ByteRope {
  #length = 0;
  readonly #blocks: Buffer[] = [];

  get length(): number {
    return this.#length;
  }

  append(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const at = this.#length % BLOCK_BYTES;
      if (at === 0) this.#blocks.push(Buffer.allocUnsafeSlow(BLOCK_BYTES));
      const part = bytes.subarray(from, from + BLOCK_BYTES - at);
      this.#blocks.at(-1)!.set(part, at);
      from += part.length;
      this.#length += part.length;
    }
  }

  /** Bytes from `start` up to `end`; a view if they lie in one block. */
  slice(start: number, end: number): Buffer {
    const parts: Buffer[] = [];
    for (let at = start; at < end; ) {
      const block = Math.floor(at / BLOCK_BYTES);
      const from = at - block * BLOCK_BYTES;
      const part = this.#blocks[block]!.subarray(from, Math.min(BLOCK_BYTES, from + end - at));
      parts.push(part);
      at += part.length;
    }
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  }
}
