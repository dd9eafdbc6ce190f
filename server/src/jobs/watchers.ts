/**
 * Those who watch jobs in this process. All who watch one job share what is found of it: it is read once for each change, and
 * once for each `pollMs` for what other processes do, however many watch. A watcher keeps one number, not a list: memory does
 * not grow with what a slow one misses.
 */
export interface Watch<T> {
  /** What there is now: read by the first who asks after a change. @throws what reading throws */
  look(): Promise<T>;
  /** Until there may be something newer than at the last `look`, or `signal` is aborted. */
  next(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface WatchersOptions<T> {
  read(id: string): Promise<T>;
  readonly pollMs: number;
}

/** What the watchers of one id share. */
interface Watched<T> {
  /** Counts the changes. */
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

  /** There is something new. */
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
    // Whoever comes may know more than was found last.
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
