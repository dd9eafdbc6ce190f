/** One data element with a value, as stored: tag, VR and the bytes, untouched (PS3.5 section 7). */

export interface ValueElement {
  readonly tag: string;
  readonly vr: string;
  /** Little endian, without tag, VR and length; with the padding it was stored with. */
  readonly bytes: Uint8Array;
}

/**
 * A value still inside the header from which it was read. A view is created on access: the headers of large
 * slides have millions of values, and a typed array takes several times the memory of this.
 */
export class StoredValue implements ValueElement {
  readonly tag: string;
  readonly vr: string;
  readonly #header: Uint8Array;
  readonly #start: number;
  readonly #length: number;

  constructor(tag: string, vr: string, header: Uint8Array, start: number, length: number) {
    this.tag = tag;
    this.vr = vr;
    this.#header = header;
    this.#start = start;
    this.#length = length;
  }

  get bytes(): Uint8Array {
    return this.#header.subarray(this.#start, this.#start + this.#length);
  }
}
