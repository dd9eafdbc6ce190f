/** Requests to a worker: one at a time in the order they came, those that nobody waits for any more left out. */
import { wordFault } from '../strings/service-words.ts';
import { translate } from '../strings/translate.ts';
import type { WorkerAnswer, WorkerFailure, WorkerRequest } from './messages.ts';

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
const TIMEOUT_MS = 120_000;

export class WorkerQueue {
  readonly #worker: WorkerLike;
  readonly #timeoutMs: number;
  readonly #waiting: Waiting[] = [];
  #running: Waiting | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #broken: Error | undefined;

  /** @param timeoutMs for one request; a worker that was killed stays silent */
  constructor(worker: WorkerLike, timeoutMs = TIMEOUT_MS) {
    this.#worker = worker;
    this.#timeoutMs = timeoutMs;
    worker.addEventListener('message', ({ data }) => {
      const running = this.#running;
      this.#next();
      if (data.kind === 'failed') running?.reject(new Error(reasonOf(data)));
      else running?.resolve(data);
    });
    worker.addEventListener('error', ({ message }) =>
      this.#break(new Error(message || translate('reason.workerMissing'))),
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
    this.#timer = setTimeout(() => this.#break(new Error(translate('reason.workerSilent'))), this.#timeoutMs);
  }
}

/** The code is kept in it, to be reported. */
function reasonOf({ message, code }: WorkerFailure): string {
  return code === undefined ? message : `${wordFault({ code, message, remedy: '' }).message} (${code})`;
}
