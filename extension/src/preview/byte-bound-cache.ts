/** Of its own, because the library that the server uses was a tenth of all that the viewer loads of the plugin. */
export class ByteBoundCache<V extends object> {
  readonly #maxBytes: number;
  readonly #bytesOf: (value: V) => number;
  readonly #release: (value: V) => void;
  /** The one that was used last comes last. */
  readonly #values = new Map<string, V>();
  #bytes = 0;

  /**
   * Keeps what was used last. A value larger than the bound is kept alone: all windows of a level in one huge frame need
   * that frame.
   * @param release called once for each value that is no longer kept
   */
  constructor(maxBytes: number, bytesOf: (value: V) => number, release: (value: V) => void = () => {}) {
    this.#maxBytes = maxBytes;
    this.#bytesOf = bytesOf;
    this.#release = release;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  get(key: string): V | undefined {
    const value = this.#values.get(key);
    if (value) {
      this.#values.delete(key);
      this.#values.set(key, value);
    }
    return value;
  }

  set(key: string, value: V): void {
    this.#drop(key);
    this.#values.set(key, value);
    this.#bytes += this.#bytesOf(value);
    for (const oldest of this.#values.keys()) {
      if (this.#bytes <= this.#maxBytes || oldest === key) break;
      this.#drop(oldest);
    }
  }

  values(): Iterable<V> {
    return this.#values.values();
  }

  clear(): void {
    for (const key of this.#values.keys()) this.#drop(key);
  }

  #drop(key: string): void {
    const value = this.#values.get(key);
    if (!value) return;
    this.#values.delete(key);
    this.#bytes -= this.#bytesOf(value);
    this.#release(value);
  }
}
