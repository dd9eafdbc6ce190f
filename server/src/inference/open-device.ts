/** Opens the inference threads of a device. */
import type { Worker } from 'node:worker_threads';
import { StainError } from '../../../core/src/errors.ts';
import { checkCuda } from './cuda/check.ts';
import { describeMissing } from './cuda/describe.ts';
import type { DeviceProof } from './device-proof.ts';
import type { LoadedModel } from './manifest.ts';
import type { WorkerStart } from './messages.ts';
import { runtimeMessage } from './runtime-message.ts';
import { startWorker } from './start-worker.ts';

/** Two sessions on one card: while one computes, the other transfers pixels. */
const SESSIONS_ON_CUDA = 2;
/** Maximum number of single-thread sessions on the CPU; any further threads are shared among them. */
const MAX_SESSIONS_ON_CPU = 16;
/**
 * Largest core of a window, in pixels a side. The halo costs (1 + 40 / core)^2: 16 % at 512 and 8 % at 1024. On the CPU
 * the smaller one is as fast, skips more glass and takes a quarter of the memory; a GPU needs more work at a time.
 */
const CORE_SIZE = { cpu: 512, cuda: 1024 } as const;

export interface OpenedDevice {
  /** ONNX Runtime's name of the execution provider. */
  readonly executionProvider: string;
  /** Each has its own sessions and does one run at a time. */
  readonly workers: readonly Worker[];
  /** Largest core of a window that suits the device, in pixels a side. */
  readonly coreSize: number;
  readonly proof: DeviceProof | undefined;
}

/**
 * As many sessions as threads: two sessions of one thread are 2.0 times as fast as one, but one session on two threads
 * only 1.3 to 1.8 times.
 * (Measured on 2 cores, tiles of 552 and 1064.)
 * @throws DEVICE_UNAVAILABLE, MODEL_INVALID
 */
export async function openCpu(model: LoadedModel, threads: number): Promise<OpenedDevice> {
  const sessions = Math.min(threads, MAX_SESSIONS_ON_CPU);
  const start: WorkerStart = {
    graphs: model.graphs,
    providers: [{ name: 'cpu' }],
    threads: Math.floor(threads / sessions),
  };
  const started = await Promise.allSettled(Array.from({ length: sessions }, () => startWorker(start)));
  const workers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value.worker] : []));
  const failed = started.find((one) => one.status === 'rejected');
  if (failed) {
    for (const worker of workers) worker.postMessage({ kind: 'close' });
    if (failed.reason instanceof StainError) throw failed.reason;
    const said = runtimeMessage((failed.reason as Error).message);
    throw new StainError('MODEL_INVALID', `ONNX Runtime cannot open the network: ${said}`, {
      cause: failed.reason,
    });
  }
  return {
    executionProvider: 'CPUExecutionProvider',
    workers,
    coreSize: CORE_SIZE.cpu,
    proof: undefined,
  };
}

/** @throws DEVICE_UNAVAILABLE; the message says what is missing and how to get it, or what the proof found */
export async function openCuda(model: LoadedModel, deviceId: number, threads: number): Promise<OpenedDevice> {
  const { provider, missing } = await checkCuda();
  const unavailable = (why: string, cause?: unknown): StainError =>
    new StainError('DEVICE_UNAVAILABLE', `CUDA cannot be used: ${why}`, { data: { missing }, cause });
  const lacking = `missing: ${describeMissing(missing)}. "stain-normalization install-cuda --check" lists the steps`;
  // A provider of another version could crash the process when it is loaded.
  if (provider !== 'matching') throw unavailable(lacking);
  const executionProvider = 'CUDAExecutionProvider';
  const start: WorkerStart = {
    graphs: model.graphs,
    providers: [{ name: 'cuda', deviceId }, { name: 'cpu' }],
    threads,
  };
  const workers: Worker[] = [];
  try {
    const prove = { executionProvider, deviceId, classes: model.classes };
    const first = await startWorker({ ...start, prove });
    workers.push(first.worker);
    while (workers.length < SESSIONS_ON_CUDA) workers.push((await startWorker(start)).worker);
    return { executionProvider, workers, coreSize: CORE_SIZE.cuda, proof: first.proof };
  } catch (cause) {
    for (const worker of workers) worker.postMessage({ kind: 'close' });
    // The runtime decides what it can load, but does not say what it lacks.
    const said = runtimeMessage((cause as Error).message);
    throw unavailable(missing.length > 0 ? `${lacking} (ONNX Runtime: ${said})` : said, cause);
  }
}
