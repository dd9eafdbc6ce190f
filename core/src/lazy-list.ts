/**
 * A list whose entries are created on access, each time anew: their source may take a tenth of the memory, and the
 * frames of a large slide are hundreds of thousands of entries.
 */
export class LazyList<T> implements Iterable<T> {
  readonly length: number;
  readonly #make: (index: number) => T;

  /** @param make returns the entry at an index, always an equal one */
  constructor(length: number, make: (index: number) => T) {
    this.length = length;
    this.#make = make;
  }

  at(index: number): T | undefined {
    return index >= 0 && index < this.length ? this.#make(index) : undefined;
  }

  static from<T>(entries: readonly T[]): LazyList<T> {
    return new LazyList(entries.length, (index) => entries[index]!);
  }

  map<U>(change: (entry: T) => U): LazyList<U> {
    return new LazyList(this.length, (index) => change(this.#make(index)));
  }

  /** The entries that match, stored by index: 4 bytes each. */
  filter(is: (entry: T, index: number) => boolean): LazyList<T> {
    const kept: number[] = [];
    for (let index = 0; index < this.length; index++) if (is(this.#make(index), index)) kept.push(index);
    const places = Uint32Array.from(kept);
    return new LazyList(places.length, (index) => this.#make(places[index]!));
  }

  *entries(): Generator<[number, T]> {
    for (let index = 0; index < this.length; index++) yield [index, this.#make(index)];
  }

  *[Symbol.iterator](): Generator<T> {
    for (let index = 0; index < this.length; index++) yield this.#make(index);
  }
}

/** Several lists as one. Each entry is looked up in its part on access. */
export function concatenated<T>(
  parts: readonly { readonly length: number; at(index: number): T | undefined }[],
): LazyList<T> {
  const starts: number[] = [];
  let length = 0;
  for (const part of parts) {
    starts.push(length);
    length += part.length;
  }
  return new LazyList(length, (index) => {
    const part = starts.findLastIndex((start) => start <= index);
    return parts[part]!.at(index - starts[part]!)!;
  });
}
