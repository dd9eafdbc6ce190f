/** Wakes those who watch a job in this process. A watcher keeps one mark, not a list: memory does not grow. */
export interface Watch {
  /** Until the job has changed since the last call, `timeoutMs` have passed or `signal` is aborted. */
  next(signal: AbortSignal, timeoutMs: number): Promise<void>;
  close(): void;
}

export class Watchers {
  readonly #marks = new Map<string, Set<() => void>>();

  wake(id: string): void {
    for (const mark of this.#marks.get(id) ?? []) mark();
  }

  wakeAll(): void {
    for (const id of this.#marks.keys()) this.wake(id);
  }

  watch(id: string): Watch {
    let changed = false;
    let resume = () => {};
    const mark = () => {
      changed = true;
      resume();
    };
    const marks = this.#marks.get(id) ?? new Set();
    this.#marks.set(id, marks.add(mark));
    return {
      async next(signal, timeoutMs) {
        if (!changed && !signal.aborted)
          await new Promise<void>((resolve) => {
            const done = () => {
              clearTimeout(timer);
              signal.removeEventListener('abort', done);
              resolve();
            };
            const timer = setTimeout(done, timeoutMs);
            signal.addEventListener('abort', done);
            resume = done;
          });
        changed = false;
      },
      close: () => {
        marks.delete(mark);
        if (marks.size === 0) this.#marks.delete(id);
      },
    };
  }
}
