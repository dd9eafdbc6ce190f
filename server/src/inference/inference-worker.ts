/**
 * The inference thread. `session.run()` of ONNX Runtime's Node binding blocks its thread until the network is
 * done, so it has a thread of its own; requests come one at a time.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import type { CloseRequest, InferenceRequest, WorkerMessage, WorkerStart } from './messages.ts';

const { graphs, providers, threads } = workerData as WorkerStart;
const port = parentPort!;

// Errors come back as exceptions; printed by the runtime as well they would only alarm.
env.logLevel = 'fatal';

function answer(message: WorkerMessage, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer);
}

function open(graph: Uint8Array): Promise<InferenceSession> {
  return InferenceSession.create(graph, {
    executionProviders: [...providers],
    intraOpNumThreads: threads,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
  });
}

async function run(
  sessions: { statistics: InferenceSession; apply: InferenceSession },
  request: InferenceRequest,
): Promise<Uint8Array | Float64Array> {
  const { tile, width, height } = request;
  const pixels = new Tensor('uint8', tile, [1, height, width, 3]);
  if (request.kind === 'statistics') {
    const weight = new Tensor('uint8', request.weight, [1, height, width]);
    const { sums } = await sessions.statistics.run({ tile: pixels, weight });
    return sums!.data as Float64Array;
  }
  const classes = request.scale.length / 3;
  const { normalized } = await sessions.apply.run({
    tile: pixels,
    scale: new Tensor('float32', request.scale, [classes, 3]),
    offset: new Tensor('float32', request.offset, [classes, 3]),
    fade: new Tensor('float32', Float32Array.from(request.fade), [2]),
  });
  return normalized!.data as Uint8Array;
}

try {
  const sessions = { statistics: await open(graphs.statistics), apply: await open(graphs.apply) };
  port.on('message', async (request: InferenceRequest | CloseRequest) => {
    if (request.kind === 'close') {
      await sessions.statistics.release();
      await sessions.apply.release();
      port.close();
      return;
    }
    try {
      const value = await run(sessions, request);
      answer({ kind: 'result', value }, [value.buffer as ArrayBuffer]);
    } catch (error) {
      answer({ kind: 'error', message: (error as Error).message });
    }
  });
  answer({ kind: 'ready' });
} catch (error) {
  answer({ kind: 'failed', message: (error as Error).message });
}
