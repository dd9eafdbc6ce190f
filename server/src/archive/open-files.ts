/** Opened slides, kept for a while: a viewer asks for hundreds of frames of one instance, each in its own request. */
import { openPart10, type Part10File } from '../dicom/part10-file.ts';
import type { IndexedInstance } from './folder-index.ts';

interface Held {
  readonly file: Promise<Part10File>;
  users: number;
}

export class OpenFiles {
  readonly #held = new Map<string, Held>();
  readonly #capacity: number;
  readonly #maxHeaderBytes: number;
  readonly #closed = new AbortController();

  /** @param capacity files kept open while nobody uses them; each holds a descriptor and the offsets of its frames */
  constructor(capacity: number, maxHeaderBytes: number) {
    this.#capacity = capacity;
    this.#maxHeaderBytes = maxHeaderBytes;
  }

  /** Runs `work` with the opened file, which stays open at least until it ends. @throws DICOM_INVALID, and what `work` throws */
  async with<T>(
    { path, size, mtimeMs }: IndexedInstance,
    work: (file: Part10File) => Promise<T>,
  ): Promise<T> {
    // A file that was replaced is another file.
    const key = `${path} ${size} ${mtimeMs}`;
    const held = this.#held.get(key) ?? {
      file: openPart10(path, { signal: this.#closed.signal, maxHeaderBytes: this.#maxHeaderBytes }),
      users: 0,
    };
    // Behind all others: the first in the map is the one longest unused.
    this.#held.delete(key);
    this.#held.set(key, held);
    held.users++;
    try {
      return await work(await held.file);
    } catch (error) {
      // One that could not be opened is tried anew the next time.
      await held.file.catch(() => this.#held.delete(key));
      throw error;
    } finally {
      held.users--;
      await this.#closeUnused(this.#capacity);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#closeUnused(0);
  }

  async #closeUnused(keep: number): Promise<void> {
    for (const [key, { file, users }] of this.#held) {
      if (this.#held.size <= keep) return;
      if (users > 0) continue;
      this.#held.delete(key);
      await file.then((opened) => opened.close()).catch(() => {});
    }
  }
}
