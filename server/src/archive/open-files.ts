/** Opened slides, kept for a while: a viewer asks for hundreds of frames of one instance, each in its own request. */
import { untilAborted } from '../abortable.ts';
import type { Reservation } from '../budget.ts';
import { openPart10, type Part10File } from '../dicom/part10-file.ts';
import { DEFLATED } from '../dicom/transfer-syntax.ts';
import type { IndexedInstance } from './folder-index.ts';
import { HeaderRoom } from './header-room.ts';
import { type InflateOptions, openInflated } from './inflated-file.ts';

export interface OpenFilesOptions extends InflateOptions {
  /** Files kept open while nobody uses them; each holds a descriptor and the offsets of its frames. */
  readonly capacity: number;
  readonly maxHeaderBytes: number;
  /** How long an inflated file is kept while nobody uses it: it takes room on the disk that jobs may want. */
  readonly keepInflatedMs: number;
}

interface Held {
  readonly file: Promise<Part10File>;
  /** Gives up opening it. */
  readonly abort: AbortController;
  isOpen: boolean;
  users: number;
  closing?: NodeJS.Timeout;
}

export class OpenFiles {
  readonly #held = new Map<string, Held>();
  readonly #options: OpenFilesOptions;
  readonly #closed = new AbortController();
  readonly #room: HeaderRoom;

  constructor(options: OpenFilesOptions) {
    this.#options = options;
    this.#room = new HeaderRoom(options.maxHeaderBytes);
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
   * @throws what `openPart10` and `openInflated` throw, the reason of the signal, and what `work` throws
   */
  async with<T>(
    instance: IndexedInstance,
    signal: AbortSignal,
    work: (file: Part10File) => Promise<T>,
  ): Promise<T> {
    // A file that was replaced is another file.
    const key = `${instance.path} ${instance.size} ${instance.mtimeMs}`;
    const held = this.#held.get(key) ?? this.#open(key, instance);
    // Behind all others: the first in the map is the one longest unused.
    this.#held.delete(key);
    this.#held.set(key, held);
    held.users++;
    try {
      return await work(await untilAborted(held.file, signal));
    } finally {
      held.users--;
      if (held.users === 0 && !held.isOpen) held.abort.abort();
      void this.#closeUnused(this.#room.waiting > 0 ? 0 : this.#options.capacity);
      if (instance.transferSyntaxUid === DEFLATED) this.#closeLater(key, held);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#closeUnused(0);
  }

  #open(key: string, { path, transferSyntaxUid }: IndexedInstance): Held {
    const abort = new AbortController();
    const options = {
      signal: AbortSignal.any([this.#closed.signal, abort.signal]),
      maxHeaderBytes: this.#options.maxHeaderBytes,
      reserve: (bytes: number, signal: AbortSignal) => this.#reserve(bytes, signal),
    };
    const file =
      transferSyntaxUid === DEFLATED ? openInflated(path, this.#options, options) : openPart10(path, options);
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
    for (const [key, held] of this.#held) {
      if (this.#held.size <= keep) break;
      if (held.users === 0) closing.push(this.#close(key, held));
    }
    await Promise.all(closing);
  }

  #closeLater(key: string, held: Held): void {
    clearTimeout(held.closing);
    held.closing = setTimeout(() => {
      if (held.users === 0 && this.#held.get(key) === held) void this.#close(key, held);
    }, this.#options.keepInflatedMs).unref();
  }

  #close(key: string, { file, closing }: Held): Promise<void> {
    clearTimeout(closing);
    this.#held.delete(key);
    return file.then((opened) => opened.close()).catch(() => {});
  }
}
