/** The network of a model, ready to run: one device, requests begun in the order they are made. */
import type { Worker } from 'node:worker_threads';
import { StainError } from '../errors.ts';
import type { LinearTables } from '../stain/linear-tables.ts';
import type { PaperCoefficients } from '../stain/paper.ts';
import type { DeviceProof } from './device-proof.ts';
import type { LoadedModel } from './manifest.ts';
import type { CloseRequest, InferenceRequest, WorkerMessage } from './messages.ts';
import { type OpenedDevice, openCpu, openCuda } from './open-device.ts';
import { runtimeMessage } from './runtime-message.ts';

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
  /** The proof that the network runs on that device; none for the CPU, which is what it would be compared with. */
  readonly deviceProof: DeviceProof | undefined;
  /** Requests that run at once; further ones wait for their turn. */
  readonly lanes: number;
  /** Largest core of a window that suits the device, in pixels a side. */
  readonly coreSize: number;
  /**
   * Sums of the mixture over the pixels with `weight` 1 (height x width uint8, transferred): K x 17 float64 values,
   * see stain/statistics.ts. @throws INFERENCE_FAILED, CANCELLED
   * @param input gain: see `gainOf` in stain/linear.ts
   */
  statistics(
    input: TileInput & { readonly weight: Uint8Array; readonly gain: number },
    signal: AbortSignal,
  ): Promise<Float64Array>;
  /** Pixels of any size moved by the tables, in a thread of the network's but without it. @throws INFERENCE_FAILED, CANCELLED */
  linear(tile: Uint8Array, tables: LinearTables, signal: AbortSignal): Promise<Uint8Array>;
  /** The normalised tile, height x width x 3 uint8. @throws INFERENCE_FAILED, CANCELLED */
  apply(
    input: TileInput & {
      readonly coefficients: PaperCoefficients;
    },
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  /** True when a thread of it is gone; it cannot be used any more. */
  readonly isBroken: boolean;
  close(): Promise<void>;
}

export interface NetworkOptions {
  readonly model: LoadedModel;
  readonly device: Device;
  /** On the CPU. */
  readonly threads: number;
}

/**
 * `cpu` and `cuda` give just that device or DEVICE_UNAVAILABLE; `auto` takes CUDA where it can be had and says in
 * `providerReason` why not otherwise.
 */
export async function openNetwork({ model, device, threads }: NetworkOptions): Promise<StainNetwork> {
  if (device === 'cpu') return networkOn(model, await openCpu(model, threads));
  const deviceId = device.startsWith('cuda:') ? Number(device.slice(5)) : 0;
  try {
    return networkOn(model, await openCuda(model, deviceId, threads));
  } catch (error) {
    if (device !== 'auto') throw error;
    return networkOn(model, await openCpu(model, threads), (error as Error).message);
  }
}

interface Waiting {
  readonly request: InferenceRequest;
  readonly transfer: ArrayBuffer[];
  readonly signal: AbortSignal;
  readonly resolve: (value: Uint8Array | Float64Array) => void;
  readonly reject: (reason: unknown) => void;
}

/** A thread and the request that it runs. */
interface Lane {
  readonly worker: Worker;
  running: Waiting | undefined;
}

/** A network on threads that are open; as many requests run at once. */
export function networkOn(
  model: LoadedModel,
  { executionProvider, workers, coreSize, proof }: OpenedDevice,
  providerReason?: string,
): StainNetwork {
  const queue: Waiting[] = [];
  const lanes = workers.map((worker): Lane => ({ worker, running: undefined }));
  const ended = Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))));
  let broken: StainError | undefined;

  const next = (lane: Lane): void => {
    lane.running = queue.shift();
    if (!lane.running) return;
    if (lane.running.signal.aborted) {
      lane.running.reject(lane.running.signal.reason);
      next(lane);
      return;
    }
    try {
      lane.worker.postMessage(lane.running.request, lane.running.transfer);
    } catch (cause) {
      // Pixels that were transferred before, for example: the fault of one request, not of those behind it.
      lane.running.reject(
        new StainError('INFERENCE_FAILED', 'The pixels cannot be handed to the inference thread.', { cause }),
      );
      next(lane);
    }
  };
  /** What waits is rejected, and the threads that are left end after the run they are in. */
  const breakDown = (error: StainError): void => {
    if (broken) return;
    broken = error;
    for (const waiting of [...lanes.map(({ running }) => running), ...queue]) waiting?.reject(error);
    for (const lane of lanes) {
      lane.running = undefined;
      lane.worker.postMessage({ kind: 'close' } satisfies CloseRequest);
    }
    queue.length = 0;
  };
  for (const lane of lanes) {
    lane.worker.on('message', (message: WorkerMessage) => {
      if (!lane.running) return; // Closed meanwhile.
      const { resolve, reject } = lane.running;
      if (message.kind === 'result') resolve(message.value);
      else
        reject(
          new StainError(
            'INFERENCE_FAILED',
            `The network failed: ${'message' in message ? runtimeMessage(message.message) : message.kind}`,
          ),
        );
      next(lane);
    });
    lane.worker.on('error', (cause) =>
      breakDown(new StainError('INFERENCE_FAILED', 'The inference thread broke down.', { cause })),
    );
    lane.worker.on('exit', () => breakDown(new StainError('INFERENCE_FAILED', 'The network is closed.')));
  }

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
        const idle = lanes.find(({ running }) => !running);
        if (idle) next(idle);
      }
    });

  return {
    model,
    executionProvider,
    providerReason,
    deviceProof: proof,
    lanes: lanes.length,
    coreSize,
    get isBroken() {
      return broken !== undefined;
    },
    async linear(tile, tables, signal) {
      return (await run(
        { kind: 'linear', tile, tables },
        [tile.buffer as ArrayBuffer],
        signal,
      )) as Uint8Array;
    },
    async statistics({ tile, weight, gain, width, height }, signal) {
      const transfer = [tile.buffer as ArrayBuffer, weight.buffer as ArrayBuffer];
      return (await run(
        { kind: 'statistics', tile, weight, gain, width, height },
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
      breakDown(new StainError('INFERENCE_FAILED', 'The network is closed.'));
      await ended;
    },
  };
}
