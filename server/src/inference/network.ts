/** The network of a model, ready to run: one thread, one device, requests in the order they are made. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { StainError } from '../errors.ts';
import type { LoadedModel } from './manifest.ts';
import type { CloseRequest, InferenceRequest, WorkerMessage, WorkerStart } from './messages.ts';

export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

export interface TileInput {
  /** height x width x 3 uint8 RGB; its buffer is transferred and empty afterwards. */
  readonly tile: Uint8Array;
  /** Multiples of the model's alignment. */
  readonly width: number;
  readonly height: number;
}

export interface StainNetwork {
  readonly model: LoadedModel;
  /** What ONNX Runtime was given: 'CUDAExecutionProvider' or 'CPUExecutionProvider'. */
  readonly executionProvider: string;
  /** Why it is not the device that was hoped for. */
  readonly providerReason: string | undefined;
  /**
   * Sums of the mixture over the pixels with `weight` 1 (height x width uint8, transferred): K x 7 float64 values,
   * see stain/statistics.ts. @throws INFERENCE_FAILED, CANCELLED
   */
  statistics(input: TileInput & { readonly weight: Uint8Array }, signal: AbortSignal): Promise<Float64Array>;
  /** The normalised tile, height x width x 3 uint8. @throws INFERENCE_FAILED, CANCELLED */
  apply(
    input: TileInput & {
      readonly coefficients: {
        readonly scale: Float32Array;
        readonly offset: Float32Array;
        readonly fade: readonly [number, number];
      };
    },
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  /** True when its thread is gone; it cannot be used any more. */
  readonly isBroken: boolean;
  close(): Promise<void>;
}

export interface NetworkOptions {
  readonly model: LoadedModel;
  readonly device: Device;
  /** Threads within one run on the CPU. */
  readonly threads: number;
}

/**
 * `cpu` and `cuda` give just that device or DEVICE_UNAVAILABLE; `auto` takes CUDA where it can be had and says in
 * `providerReason` why not otherwise.
 */
export async function openNetwork({ model, device, threads }: NetworkOptions): Promise<StainNetwork> {
  if (device === 'cpu')
    return network(
      model,
      'CPUExecutionProvider',
      undefined,
      await startWorker(model, [{ name: 'cpu' }], threads),
    );
  const deviceId = device.startsWith('cuda:') ? Number(device.slice(5)) : 0;
  try {
    const worker = await startWorker(model, [{ name: 'cuda', deviceId }, { name: 'cpu' }], threads);
    return network(model, 'CUDAExecutionProvider', undefined, worker);
  } catch (cause) {
    const reason = `CUDA cannot be used: ${firstLine((cause as Error).message)}`;
    if (device !== 'auto') throw new StainError('DEVICE_UNAVAILABLE', reason, { cause });
    return network(
      model,
      'CPUExecutionProvider',
      reason,
      await startWorker(model, [{ name: 'cpu' }], threads),
    );
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!;
}

function startWorker(
  model: LoadedModel,
  providers: WorkerStart['providers'],
  threads: number,
): Promise<Worker> {
  const start: WorkerStart = { graphs: model.graphs, providers, threads };
  const worker = new Worker(
    new URL(
      import.meta.url.endsWith('.ts') ? './inference-worker.ts' : './inference-worker.js',
      import.meta.url,
    ),
    { workerData: start },
  );
  return new Promise((resolve, reject) => {
    const failed = (reason: string): void => reject(new Error(reason));
    const ended = (): void => failed('the inference thread ended while it started');
    worker.once('error', reject);
    worker.once('exit', ended);
    worker.once('message', (message: WorkerMessage) => {
      worker.off('error', reject);
      worker.off('exit', ended);
      if (message.kind === 'ready') resolve(worker);
      else
        worker
          .terminate()
          .finally(() =>
            failed(message.kind === 'failed' ? message.message : 'the inference thread did not start'),
          );
    });
  });
}

interface Waiting {
  readonly request: InferenceRequest;
  readonly transfer: ArrayBuffer[];
  readonly signal: AbortSignal;
  readonly resolve: (value: Uint8Array | Float64Array) => void;
  readonly reject: (reason: unknown) => void;
}

function network(
  model: LoadedModel,
  executionProvider: string,
  providerReason: string | undefined,
  worker: Worker,
): StainNetwork {
  const queue: Waiting[] = [];
  let running: Waiting | undefined;
  let broken: StainError | undefined;

  const next = (): void => {
    running = queue.shift();
    if (!running) return;
    if (running.signal.aborted) {
      running.reject(running.signal.reason);
      next();
      return;
    }
    try {
      worker.postMessage(running.request, running.transfer);
    } catch (cause) {
      // Pixels that were transferred before, for example: the fault of one request, not of those behind it.
      running.reject(
        new StainError('INFERENCE_FAILED', 'The pixels cannot be handed to the inference thread.', { cause }),
      );
      next();
    }
  };
  const breakDown = (error: StainError): void => {
    broken = error;
    for (const waiting of [running, ...queue]) waiting?.reject(error);
    running = undefined;
    queue.length = 0;
  };
  worker.on('message', (message: WorkerMessage) => {
    if (!running) return; // Closed meanwhile.
    const { resolve, reject } = running;
    if (message.kind === 'result') resolve(message.value);
    else
      reject(
        new StainError(
          'INFERENCE_FAILED',
          `The network failed: ${'message' in message ? firstLine(message.message) : message.kind}`,
        ),
      );
    next();
  });
  worker.on('error', (cause) =>
    breakDown(new StainError('INFERENCE_FAILED', 'The inference thread broke down.', { cause })),
  );
  worker.on('exit', () => breakDown(broken ?? new StainError('INFERENCE_FAILED', 'The network is closed.')));

  const run = (
    request: InferenceRequest,
    transfer: ArrayBuffer[],
    signal: AbortSignal,
  ): Promise<Uint8Array | Float64Array> =>
    new Promise((resolve, reject) => {
      if (broken) reject(broken);
      else if (signal.aborted) reject(signal.reason);
      else {
        // A run that has begun cannot be stopped, but nobody has to wait for it.
        const abort = (): void => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        const settle =
          <T>(settled: (value: T) => void) =>
          (value: T): void => {
            signal.removeEventListener('abort', abort);
            settled(value);
          };
        queue.push({ request, transfer, signal, resolve: settle(resolve), reject: settle(reject) });
        if (!running) next();
      }
    });

  return {
    model,
    executionProvider,
    providerReason,
    get isBroken() {
      return broken !== undefined;
    },
    async statistics({ tile, weight, width, height }, signal) {
      const transfer = [tile.buffer as ArrayBuffer, weight.buffer as ArrayBuffer];
      return (await run(
        { kind: 'statistics', tile, weight, width, height },
        transfer,
        signal,
      )) as Float64Array;
    },
    async apply({ tile, width, height, coefficients: { scale, offset, fade } }, signal) {
      return (await run(
        { kind: 'apply', tile, width, height, scale, offset, fade },
        [tile.buffer as ArrayBuffer],
        signal,
      )) as Uint8Array;
    },
    async close() {
      if (broken) return;
      breakDown(new StainError('INFERENCE_FAILED', 'The network is closed.'));
      const ended = once(worker, 'exit');
      worker.postMessage({ kind: 'close' } satisfies CloseRequest);
      await ended;
    },
  };
}
