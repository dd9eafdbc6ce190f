/** Starts an inference thread and waits until its sessions are open. */
import './no-telemetry.ts';
import { Worker } from 'node:worker_threads';
import { StainError } from '../../../core/src/errors.ts';
import type { DeviceProof } from './device-proof.ts';
import type { WorkerMessage, WorkerStart } from './messages.ts';
import { runtimeMessage } from './runtime-message.ts';

const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './inference-worker.ts' : './inference-worker.js',
  import.meta.url,
);

export interface StartedWorker {
  readonly worker: Worker;
  /** Set if a proof was requested. */
  readonly proof: DeviceProof | undefined;
}

/**
 * @param module of the thread
 * @throws DEVICE_UNAVAILABLE if ONNX Runtime cannot be loaded; Error with its message if the sessions cannot be opened
 * or the proof fails
 */
export function startWorker(start: WorkerStart, module = WORKER): Promise<StartedWorker> {
  const worker = new Worker(module, { workerData: start });
  return new Promise((resolve, reject) => {
    const failed = (reason: string): void => reject(new Error(reason));
    const ended = (): void => failed('the inference thread ended while it started');
    const notLoaded = (cause: Error): void =>
      reject(
        new StainError(
          'DEVICE_UNAVAILABLE',
          `ONNX Runtime cannot be loaded: ${runtimeMessage(cause.message)}. It needs glibc (not Alpine), and "npm ci" for this system.`,
          { cause },
        ),
      );
    worker.once('error', notLoaded);
    worker.once('exit', ended);
    worker.once('message', (message: WorkerMessage) => {
      worker.off('error', notLoaded);
      worker.off('exit', ended);
      if (message.kind === 'ready') resolve({ worker, proof: message.proof });
      else
        worker
          .terminate()
          .finally(() =>
            failed(message.kind === 'failed' ? message.message : 'the inference thread did not start'),
          );
    });
  });
}
