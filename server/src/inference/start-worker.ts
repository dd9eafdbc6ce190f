/** Starts an inference thread and waits until its sessions are open. */
import './no-telemetry.ts';
import { Worker } from 'node:worker_threads';
import type { DeviceProof } from './device-proof.ts';
import type { WorkerMessage, WorkerStart } from './messages.ts';

export interface StartedWorker {
  readonly worker: Worker;
  /** Set if a proof was requested. */
  readonly proof: DeviceProof | undefined;
}

/** @throws Error with the runtime's message if the sessions cannot be opened or the proof fails */
export function startWorker(start: WorkerStart): Promise<StartedWorker> {
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
