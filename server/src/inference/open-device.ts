/** Opens the inference threads of a device. */
import type { Worker } from 'node:worker_threads';
import { StainError } from '../errors.ts';
import { checkCuda } from './cuda/check.ts';
import { describeMissing } from './cuda/describe.ts';
import type { DeviceProof } from './device-proof.ts';
import type { LoadedModel } from './manifest.ts';
import type { WorkerStart } from './messages.ts';
import { runtimeMessage } from './runtime-message.ts';
import { startWorker } from './start-worker.ts';

/** Two sessions on one card: while one computes, the other's pixels go in and out. */
const SESSIONS_ON_CUDA = 2;

export interface OpenedDevice {
  /** ONNX Runtime's name of the execution provider. */
  readonly executionProvider: string;
  /** Each has sessions of its own and does one run at a time. */
  readonly workers: readonly Worker[];
  readonly proof: DeviceProof | undefined;
}

export async function openCpu(model: LoadedModel, threads: number): Promise<OpenedDevice> {
  const { worker } = await startWorker({ graphs: model.graphs, providers: [{ name: 'cpu' }], threads });
  return { executionProvider: 'CPUExecutionProvider', workers: [worker], proof: undefined };
}

/** @throws DEVICE_UNAVAILABLE; the message names what is missing and what brings it, or what the proof found */
export async function openCuda(model: LoadedModel, deviceId: number, threads: number): Promise<OpenedDevice> {
  const { provider, missing } = await checkCuda();
  const unavailable = (why: string, cause?: unknown): StainError =>
    new StainError('DEVICE_UNAVAILABLE', `CUDA cannot be used: ${why}`, { data: { missing }, cause });
  const lacking = `it lacks ${describeMissing(missing)}. "npm run install-cuda -- --check" tells the steps`;
  // A provider of another version could end the process when it is loaded.
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
    return { executionProvider, workers, proof: first.proof };
  } catch (cause) {
    for (const worker of workers) worker.postMessage({ kind: 'close' });
    // The runtime has the last word on what it can load, but does not say what it lacks.
    const said = runtimeMessage((cause as Error).message);
    throw unavailable(missing.length > 0 ? `${lacking} (ONNX Runtime: ${said})` : said, cause);
  }
}
