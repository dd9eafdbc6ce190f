/** Keeps opened slides for a while: a viewer fetches hundreds of frames of one instance, each in its own request. */
import { LRUCache } from 'lru-cache';
import { untilAborted } from '../../../core/src/abortable.ts';
import { DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { openPart10, type Part10File } from '../dicom/part10-file.ts';
import type { Reservation } from '../sharing/budget.ts';
import { type InflateOptions, openInflated } from '../spool/inflated-file.ts';
import type { IndexedInstance } from './folder-index.ts';
import { HeaderRoom } from './header-room.ts';

export interface OpenFilesOptions extends InflateOptions {
  /** Maximum number of unused files kept open; each holds a file descriptor and its frame offsets. */
  readonly capacity: number;
  readonly maxHeaderBytes: number;
  /** How long to keep an unused inflated file, which takes disk space that jobs may need. */
  readonly keepInflatedMs: number;
}

interface Held {
  readonly file: Promise<Part10File>;
  /** Cancels the opening. */
  readonly abort: AbortController;
  /** How long to keep it open while nobody uses it, in milliseconds; 0 for as long as there is room. */
  readonly ttl: number;
  isOpen: boolean;
  users: number;
  closed?: Promise<void>;
}

export class OpenFiles {
  readonly #used = new Map<string, Held>();
  readonly #unused: LRUCache<string, Held>;
  readonly #options: OpenFilesOptions;
  readonly #closed = new AbortController();
  readonly #room: HeaderRoom;

  constructor(options: OpenFilesOptions) {
    this.#options = options;
    this.#room = new HeaderRoom(options.maxHeaderBytes);
    this.#unused = new LRUCache({
      max: options.capacity,
      ttlAutopurge: true,
      dispose: (held) => {
        // One that is taken out to be used stays open.
        if (held.users === 0) close(held);
      },
    });
  }

  /** Bytes of headers in memory, for files in use and files kept open. */
  get headerBytes(): number {
    return this.#room.bytes;
  }

  /** Number of files waiting for memory. */
  get waiting(): number {
    return this.#room.waiting;
  }

  /**
   * Runs `work` with the opened file, which stays open at least until `work` ends.
   * @param signal of the requester; others waiting for the same file are not affected
   * @throws whatever `openPart10` and `openInflated` throw, the reason of the signal, and whatever `work` throws
   */
  async with<T>(
    instance: IndexedInstance,
    signal: AbortSignal,
    work: (file: Part10File) => Promise<T>,
  ): Promise<T> {
    // A replaced file counts as a different file.
    const key = `${instance.path} ${instance.size} ${instance.mtimeMs}`;
    const held = this.#unused.get(key) ?? this.#used.get(key) ?? this.#open(key, instance);
    held.users++;
    this.#used.set(key, held);
    this.#unused.delete(key);
    try {
      return await work(await untilAborted(held.file, signal));
    } finally {
      held.users--;
      if (held.users === 0) this.#release(key, held);
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    const unused = [...this.#unused.values()];
    this.#unused.clear();
    await Promise.all(unused.map(({ closed }) => closed));
  }

  #open(key: string, { path, transferSyntaxUid }: IndexedInstance): Held {
    const abort = new AbortController();
    const options = {
      signal: AbortSignal.any([this.#closed.signal, abort.signal]),
      maxHeaderBytes: this.#options.maxHeaderBytes,
      reserve: (bytes: number, signal: AbortSignal) => this.#reserve(bytes, signal),
      isReadInPart: true,
    };
    const isDeflated = transferSyntaxUid === DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    const file = isDeflated ? openInflated(path, this.#options, options) : openPart10(path, options);
    const ttl = isDeflated ? this.#options.keepInflatedMs : 0;
    const held: Held = { file, abort, ttl, isOpen: false, users: 0 };
    const forget = (): void => this.#forget(key, held);
    // If opening failed, the next request tries again; an opening that nobody waits for any more is not joined.
    abort.signal.addEventListener('abort', forget, { once: true });
    file.then(() => (held.isOpen = true)).catch(forget);
    return held;
  }

  #forget(key: string, held: Held): void {
    if (this.#used.get(key) === held) this.#used.delete(key);
  }

  #release(key: string, held: Held): void {
    this.#forget(key, held);
    const isKept = held.isOpen && !this.#closed.signal.aborted && this.#room.waiting === 0;
    if (isKept) this.#unused.set(key, held, { ttl: held.ttl });
    else {
      held.abort.abort();
      close(held);
    }
  }

  /** Reserves memory for a header; unused files are closed to make room. */
  #reserve(bytes: number, signal: AbortSignal): Promise<Reservation> {
    const room = this.#room.reserve(bytes, signal);
    if (this.#room.waiting > 0) this.#unused.clear();
    return room;
  }
}

function close(held: Held): void {
  held.closed = held.file.then((file) => file.close()).catch(() => {});
}
