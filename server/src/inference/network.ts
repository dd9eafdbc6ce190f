/** The network of a model, ready to run: one device; requests start in the order in which they are made. */
import type { Worker } from 'node:worker_threads';
import { StainError } from '../../../core/src/errors.ts';
import type { LinearTables } from '../../../core/src/stain/linear-tables.ts';
import type { PaperCoefficients } from '../../../core/src/stain/paper.ts';
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
  /** The provider given to ONNX Runtime: 'CUDAExecutionProvider' or 'CPUExecutionProvider'. */
  readonly executionProvider: string;
  /** Why it is not the preferred device. */
  readonly providerReason: string | undefined;
  /** The proof that the network runs on that device; none for the CPU, which is the reference. */
  readonly deviceProof: DeviceProof | undefined;
  /** Number of requests that run at once; further ones wait. */
  readonly concurrency: number;
  /** Largest core of a window that suits the device, in pixels a side. */
  readonly coreSize: number;
  /**
   * Sums of the mixture over the pixels with `weight` 1 (height x width uint8, transferred): K x 17 float64 values, see
   * stain/statistics.ts. @throws INFERENCE_FAILED, CANCELLED
   * @param input gain: see `gainOf` in stain/linear.ts
   */
  statistics(
    input: TileInput & { readonly weight: Uint8Array; readonly gain: number },
    signal: AbortSignal,
  ): Promise<Float64Array>;
  /**
   * Maps pixels of any size with the tables, in one of the network's threads but without the network.
   * @throws INFERENCE_FAILED, CANCELLED
   */
  linear(tile: Uint8Array, tables: LinearTables, signal: AbortSignal): Promise<Uint8Array>;
  /** The normalised tile, height x width x 3 uint8. @throws INFERENCE_FAILED, CANCELLED */
  apply(
    input: TileInput & {
      readonly coefficients: PaperCoefficients;
    },
    signal: AbortSignal,
  ): Promise<Uint8Array>;
  /** True if one of its threads is gone; the network can no longer be used. */
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
 * `cpu` and `cuda` use exactly that device, or throw DEVICE_UNAVAILABLE. `auto` uses CUDA if possible; otherwise
 * `providerReason` says why not.
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

/** A thread and the request that it is running. */
interface Slot {
  readonly worker: Worker;
  running: Waiting | undefined;
}

/** A network on open threads; it runs as many requests at once as it has threads. */
export function networkOn(
  model: LoadedModel,
  { executionProvider, workers, coreSize, proof }: OpenedDevice,
  providerReason?: string,
): StainNetwork {
  const queue: Waiting[] = [];
  const slots = workers.map((worker): Slot => ({ worker, running: undefined }));
  const ended = Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve))));
  let broken: StainError | undefined;

  const next = (slot: Slot): void => {
    slot.running = queue.shift();
    if (!slot.running) return;
    if (slot.running.signal.aborted) {
      slot.running.reject(slot.running.signal.reason);
      next(slot);
      return;
    }
    try {
      slot.worker.postMessage(slot.running.request, slot.running.transfer);
    } catch (cause) {
      // For example, pixels that were already transferred: the fault of this request, not of those waiting behind it.
      slot.running.reject(
        new StainError('INFERENCE_FAILED', 'The pixels cannot be handed to the inference thread.', { cause }),
      );
      next(slot);
    }
  };
  /** Rejects waiting requests; the remaining threads end after their current run. */
  const breakDown = (error: StainError): void => {
    if (broken) return;
    broken = error;
    for (const waiting of [...slots.map(({ running }) => running), ...queue]) waiting?.reject(error);
    for (const slot of slots) {
      slot.running = undefined;
      slot.worker.postMessage({ kind: 'close' } satisfies CloseRequest);
    }
    queue.length = 0;
  };
  for (const slot of slots) {
    slot.worker.on('message', (message: WorkerMessage) => {
      if (!slot.running) return; // Closed in the meantime.
      const { resolve, reject } = slot.running;
      if (message.kind === 'result') resolve(message.value);
      else
        reject(
          new StainError(
            'INFERENCE_FAILED',
            `The network failed: ${'message' in message ? runtimeMessage(message.message) : message.kind}`,
          ),
        );
      next(slot);
    });
    slot.worker.on('error', (cause) =>
      breakDown(new StainError('INFERENCE_FAILED', 'The inference thread crashed.', { cause })),
    );
    slot.worker.on('exit', () => breakDown(new StainError('INFERENCE_FAILED', 'The network is closed.')));
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
        // A run that has started cannot be stopped, but nobody has to wait for it.
        const abort = (): void => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        const settle =
          <T>(settled: (value: T) => void) =>
          (value: T): void => {
            signal.removeEventListener('abort', abort);
            settled(value);
          };
        queue.push({ request, transfer, signal, resolve: settle(resolve), reject: settle(reject) });
        const idle = slots.find(({ running }) => !running);
        if (idle) next(idle);
      }
    });

  return {
    model,
    executionProvider,
    providerReason,
    deviceProof: proof,
    concurrency: slots.length,
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
    async apply({ tile, width, height, coefficients: { scale, offset, fade, blueness } }, signal) {
      return (await run(
        { kind: 'apply', tile, width, height, scale, offset, fade, blueness },
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
