/** Requests to a worker: one at a time in the order they came, those that nobody waits for any more left out. */
import type { WorkerAnswer, WorkerRequest } from './messages.ts';

export interface WorkerLike {
  postMessage(message: WorkerRequest): void;
  addEventListener(type: 'message', listener: (event: { data: WorkerAnswer }) => void): void;
  addEventListener(type: 'error', listener: (event: { message?: string }) => void): void;
  terminate(): void;
}

interface Waiting {
  readonly request: WorkerRequest;
  readonly signal: AbortSignal;
  readonly resolve: (answer: WorkerAnswer) => void;
  readonly reject: (reason: unknown) => void;
}

/** The first request loads the runtime; the others are a tile each, which takes a second on a slow machine. */
const LONGEST_MS = 120_000;

export class WorkerQueue {
  readonly #worker: WorkerLike;
  readonly #longestMs: number;
  readonly #waiting: Waiting[] = [];
  #running: Waiting | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #broken: Error | undefined;

  /** @param longestMs for one request; a worker that was killed says nothing any more */
  constructor(worker: WorkerLike, longestMs = LONGEST_MS) {
    this.#worker = worker;
    this.#longestMs = longestMs;
    worker.addEventListener('message', ({ data }) => {
      const running = this.#running;
      this.#next();
      if (data.kind === 'failed') running?.reject(new Error(data.message));
      else running?.resolve(data);
    });
    worker.addEventListener('error', ({ message }) =>
      this.#break(new Error(message || 'the worker cannot be loaded')),
    );
  }

  /** It answers nothing any more: another one is needed. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** @throws Error with the worker's message; the signal's reason */
  ask(request: WorkerRequest, signal: AbortSignal): Promise<WorkerAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#broken) return reject(this.#broken);
      this.#waiting.push({ request, signal, resolve, reject });
      if (!this.#running) this.#next();
    });
  }

  close(): void {
    this.#break(new Error('closed'));
  }

  #break(error: Error): void {
    this.#broken = error;
    clearTimeout(this.#timer);
    this.#worker.terminate();
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#running?.reject(error);
    this.#running = undefined;
  }

  #next(): void {
    clearTimeout(this.#timer);
    this.#running = this.#waiting.shift();
    while (this.#running?.signal.aborted) {
      this.#running.reject(this.#running.signal.reason);
      this.#running = this.#waiting.shift();
    }
    if (!this.#running) return;
    this.#worker.postMessage(this.#running.request);
    this.#timer = setTimeout(() => this.#break(new Error('the worker does not answer')), this.#longestMs);
  }
}
