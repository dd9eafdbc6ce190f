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

export class WorkerQueue {
  readonly #worker: WorkerLike;
  readonly #waiting: Waiting[] = [];
  #running: Waiting | undefined;

  constructor(worker: WorkerLike) {
    this.#worker = worker;
    worker.addEventListener('message', ({ data }) => {
      const running = this.#running;
      this.#next();
      if (data.kind === 'failed') running?.reject(new Error(data.message));
      else running?.resolve(data);
    });
    worker.addEventListener('error', ({ message }) => {
      this.#running?.reject(new Error(message ?? 'the worker cannot be loaded'));
      this.#next();
    });
  }

  /** @throws Error with the worker's message; the signal's reason */
  ask(request: WorkerRequest, signal: AbortSignal): Promise<WorkerAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, signal, resolve, reject });
      if (!this.#running) this.#next();
    });
  }

  close(): void {
    this.#worker.terminate();
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('closed'));
    this.#running?.reject(new Error('closed'));
    this.#running = undefined;
  }

  #next(): void {
    this.#running = this.#waiting.shift();
    while (this.#running?.signal.aborted) {
      this.#running.reject(this.#running.signal.reason);
      this.#running = this.#waiting.shift();
    }
    if (this.#running) this.#worker.postMessage(this.#running.request);
  }
}
