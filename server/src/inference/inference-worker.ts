/**
 * The inference thread. `session.run()` of ONNX Runtime's Node binding blocks its thread until the network is done, so
 * it runs in a thread of its own, one request at a time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { CloseRequest, InferenceRequest, WorkerMessage, WorkerStart } from './messages.ts';
import { proveDevice } from './prove-device.ts';
import { closeSessions, openSessions, runRequest } from './sessions.ts';

const start = workerData as WorkerStart;
const port = parentPort!;

function answer(message: WorkerMessage, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

try {
  const proof = start.prove && (await proveDevice({ ...start, ...start.prove }));
  const sessions = await openSessions(start);
  port.on('message', async (request: InferenceRequest | CloseRequest) => {
    if (request.kind === 'close') {
      await closeSessions(sessions);
      port.close();
      return;
    }
    try {
      const value = await runRequest(sessions, request);
      answer({ kind: 'result', value }, [value.buffer as ArrayBuffer]);
    } catch (error) {
      answer({ kind: 'error', message: (error as Error).message });
    }
  });
  answer({ kind: 'ready', proof });
} catch (error) {
  answer({ kind: 'failed', message: (error as Error).message });
}
