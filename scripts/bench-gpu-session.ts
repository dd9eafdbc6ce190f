/** A thread with one session of one graph, which it runs repeatedly: what bench-gpu.ts measures. */
import '../server/src/inference/no-telemetry.ts';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import type { WorkerStart } from '../server/src/inference/messages.ts';
import { proofTile, proofTransfer } from '../server/src/inference/proof-tile.ts';

export type GraphKind = 'statistics' | 'apply';

export interface SessionStart {
  readonly graph: string;
  readonly kind: GraphKind;
  readonly providers: WorkerStart['providers'];
  readonly threads: number;
  readonly classes: number;
}

/** A batch of square tiles. */
export interface Shape {
  readonly size: number;
  readonly batch: number;
}

interface Request extends Shape {
  /** How long to measure; 0 runs once, so that kernels are chosen and memory is allocated. */
  readonly seconds: number;
}

interface Answer {
  readonly megapixelsPerSecond: number;
  /** First output of the last run. */
  readonly output: Uint8Array | Float64Array;
}

export interface MeasuredSession {
  run(request: Request): Promise<Answer>;
  close(): Promise<void>;
}

/** Requests must not overlap. @throws Error with the runtime's message, also from `run` */
export async function openMeasuredSession(start: SessionStart): Promise<MeasuredSession> {
  const worker = new Worker(new URL(import.meta.url), { workerData: start });
  const answer = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (message: T | { failed: string }) => {
        worker.off('error', reject);
        if (typeof message === 'object' && message !== null && 'failed' in message)
          reject(new Error(message.failed));
        else resolve(message as T);
      });
    });
  await answer<string>();
  return {
    run(request) {
      worker.postMessage(request);
      return answer<Answer>();
    },
    async close() {
      const ended = new Promise((resolve) => worker.once('exit', resolve));
      worker.postMessage('close');
      await ended;
    },
  };
}

/** Runs in the thread. */
async function serve({ graph, kind, providers, threads, classes }: SessionStart): Promise<void> {
  env.logLevel = 'fatal';
  const session = await InferenceSession.create(graph, {
    executionProviders: [...providers],
    intraOpNumThreads: threads,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
  });
  parentPort!.on('message', async (request: Request | 'close') => {
    if (request === 'close') {
      await session.release();
      parentPort!.close();
      return;
    }
    try {
      const feeds = feedsOf(kind, request, classes);
      const start = performance.now();
      let runs = 0;
      let output: Answer['output'];
      do {
        const { normalized, sums } = await session.run(feeds);
        output = (normalized ?? sums)!.data as Answer['output'];
        runs++;
      } while (performance.now() - start < request.seconds * 1000);
      const pixels = runs * request.batch * request.size ** 2;
      parentPort!.postMessage({
        megapixelsPerSecond: pixels / 1e3 / (performance.now() - start),
        output,
      } satisfies Answer);
    } catch (error) {
      parentPort!.postMessage({ failed: (error as Error).message });
    }
  });
  parentPort!.postMessage('ready');
}

function feedsOf(kind: GraphKind, { size, batch }: Shape, classes: number): Record<string, Tensor> {
  const one = proofTile(size);
  const pixels = new Uint8Array(batch * one.length);
  for (let i = 0; i < batch; i++) pixels.set(one, i * one.length);
  const tile = new Tensor('uint8', pixels, [batch, size, size, 3]);
  if (kind === 'statistics') {
    const weight = new Uint8Array(batch * size * size).fill(1);
    return {
      tile,
      weight: new Tensor('uint8', weight, [batch, size, size]),
      gain: new Tensor('float32', Float32Array.of(1.25), [1]),
    };
  }
  const { scale, offset, fade, blueness } = proofTransfer(classes);
  return {
    tile,
    scale: new Tensor('float32', scale, [classes, 3]),
    offset: new Tensor('float32', offset, [classes, 3]),
    fade: new Tensor('float32', Float32Array.from(fade), [2]),
    blueness: new Tensor('float32', Float32Array.of(blueness), [1]),
  };
}

if (parentPort && workerData)
  await serve(workerData as SessionStart).catch((error: Error) =>
    parentPort!.postMessage({ failed: error.message }),
  );
