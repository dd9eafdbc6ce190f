/**
 * Watchers of jobs in this process. All watchers of one job share each read: one per change, and one per `pollMs` for
 * changes made by other processes, however many watchers there are. A watcher holds a number, not a list, so a slow one
 * does not use more memory for what it misses.
 */
export interface Watch<T> {
  /** The current state, read by the first watcher that asks after a change. @throws whatever the read throws */
  look(): Promise<T>;
  /** Waits until there may be something newer than the last `look`, or until `signal` is aborted. */
  next(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface WatchersOptions<T> {
  read(id: string): Promise<T>;
  readonly pollMs: number;
}

/** State shared by the watchers of one id. */
interface Watched<T> {
  /** Number of changes so far. */
  changes: number;
  found: Promise<T> | undefined;
  watchers: number;
  readonly waiting: Set<() => void>;
  readonly poll: NodeJS.Timeout;
}

export class Watchers<T> {
  readonly #options: WatchersOptions<T>;
  readonly #watched = new Map<string, Watched<T>>();

  constructor(options: WatchersOptions<T>) {
    this.#options = options;
  }

  /** Reports a change. */
  wake(id: string): void {
    const watched = this.#watched.get(id);
    if (!watched) return;
    watched.changes++;
    watched.found = undefined;
    for (const resume of [...watched.waiting]) resume();
  }

  wakeAll(): void {
    for (const id of this.#watched.keys()) this.wake(id);
  }

  watch(id: string): Watch<T> {
    const watched = this.#enter(id);
    // A new watcher may have seen something newer than the last read.
    watched.found = undefined;
    let seen = -1;
    return {
      look: () => {
        seen = watched.changes;
        watched.found ??= this.#options.read(id);
        return watched.found;
      },
      async next(signal) {
        if (seen !== watched.changes || signal.aborted) return;
        await new Promise<void>((resolve) => {
          const resume = () => {
            watched.waiting.delete(resume);
            signal.removeEventListener('abort', resume);
            resolve();
          };
          watched.waiting.add(resume);
          signal.addEventListener('abort', resume);
        });
      },
      close: () => {
        if (--watched.watchers > 0) return;
        clearInterval(watched.poll);
        this.#watched.delete(id);
      },
    };
  }

  #enter(id: string): Watched<T> {
    const watched = this.#watched.get(id) ?? {
      changes: 0,
      found: undefined,
      watchers: 0,
      waiting: new Set(),
      poll: setInterval(() => this.wake(id), this.#options.pollMs),
    };
    watched.watchers++;
    this.#watched.set(id, watched);
    return watched;
  }
}
