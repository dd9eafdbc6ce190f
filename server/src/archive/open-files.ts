/** Opened slides, kept for a while: a viewer asks for hundreds of frames of one instance, each in its own request. */
import { untilAborted } from '../abortable.ts';
import type { Reservation } from '../budget.ts';
import { openPart10, type Part10File } from '../dicom/part10-file.ts';
import type { IndexedInstance } from './folder-index.ts';
import { HeaderRoom } from './header-room.ts';

interface Held {
  readonly file: Promise<Part10File>;
  /** Gives up opening it. */
  readonly abort: AbortController;
  isOpen: boolean;
  users: number;
}

export class OpenFiles {
  readonly #held = new Map<string, Held>();
  readonly #capacity: number;
  readonly #maxHeaderBytes: number;
  readonly #closed = new AbortController();
  readonly #room: HeaderRoom;

  /** @param capacity files kept open while nobody uses them; each holds a descriptor and the offsets of its frames */
  constructor(capacity: number, maxHeaderBytes: number) {
    this.#capacity = capacity;
    this.#maxHeaderBytes = maxHeaderBytes;
    this.#room = new HeaderRoom(maxHeaderBytes);
  }

  /** Bytes of the headers that are in memory, of files in use and of those that are kept. */
  get headerBytes(): number {
    return this.#room.bytes;
  }

  /** Files that wait for room. */
  get waiting(): number {
    return this.#room.waiting;
  }

  /**
   * Runs `work` with the opened file, which stays open at least until it ends.
   * @param signal of whoever waits for the file; others who wait for it go on
   * @throws DICOM_INVALID, the reason of the signal, and what `work` throws
   */
  async with<T>(
    { path, size, mtimeMs }: IndexedInstance,
    signal: AbortSignal,
    work: (file: Part10File) => Promise<T>,
  ): Promise<T> {
    // A file that was replaced is another file.
    const key = `${path} ${size} ${mtimeMs}`;
    const held = this.#held.get(key) ?? this.#open(key, path);
    // Behind all others: the first in the map is the one longest unused.
    this.#held.delete(key);
    this.#held.set(key, held);
    held.users++;
    try {
      return await work(await untilAborted(held.file, signal));
    } finally {
      held.users--;
      if (held.users === 0 && !held.isOpen) held.abort.abort();
      void this.#closeUnused(this.#room.waiting > 0 ? 0 : this.#capacity);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#closeUnused(0);
  }

  #open(key: string, path: string): Held {
    const abort = new AbortController();
    const file = openPart10(path, {
      signal: AbortSignal.any([this.#closed.signal, abort.signal]),
      maxHeaderBytes: this.#maxHeaderBytes,
      reserve: (bytes, signal) => this.#reserve(bytes, signal),
    });
    const held: Held = { file, abort, isOpen: false, users: 0 };
    const forget = (): void => {
      if (this.#held.get(key) === held) this.#held.delete(key);
    };
    // One that could not be opened is tried anew the next time; one that nobody waits for any more is not joined.
    abort.signal.addEventListener('abort', forget, { once: true });
    file.then(() => (held.isOpen = true)).catch(forget);
    return held;
  }

  /** Room for a header. What is only kept makes way. */
  #reserve(bytes: number, signal: AbortSignal): Promise<Reservation> {
    const room = this.#room.reserve(bytes, signal);
    if (this.#room.waiting > 0) void this.#closeUnused(0);
    return room;
  }

  async #closeUnused(keep: number): Promise<void> {
    const closing: Promise<void>[] = [];
    for (const [key, { file, users }] of this.#held) {
      if (this.#held.size <= keep) break;
      if (users > 0) continue;
      this.#held.delete(key);
      closing.push(file.then((opened) => opened.close()).catch(() => {}));
    }
    await Promise.all(closing);
  }
}
