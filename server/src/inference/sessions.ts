/**
 * The two graphs of a model as ONNX Runtime sessions. Runs block the thread, so use them only in the inference thread.
 */
import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { applyTables } from '../../../core/src/stain/linear-tables.ts';
import type { InferenceRequest, WorkerStart } from './messages.ts';

// Errors are returned as exceptions; printing them as well would only alarm.
env.logLevel = 'fatal';

export interface Sessions {
  readonly statistics: InferenceSession;
  readonly apply: InferenceSession;
}

/** @param profilePrefix path prefix of the profiles; without it no profiles are written */
export async function openSessions(
  { graphs, providers, threads }: Pick<WorkerStart, 'graphs' | 'providers' | 'threads'>,
  profilePrefix?: string,
): Promise<Sessions> {
  const open = (graph: Uint8Array): Promise<InferenceSession> =>
    InferenceSession.create(graph, {
      executionProviders: [...providers],
      intraOpNumThreads: threads,
      graphOptimizationLevel: 'all',
      logSeverityLevel: 4,
      ...(profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: profilePrefix }),
    });
  return { statistics: await open(graphs.statistics), apply: await open(graphs.apply) };
}

export async function closeSessions(sessions: Sessions): Promise<void> {
  await sessions.statistics.release();
  await sessions.apply.release();
}

export async function runRequest(
  sessions: Sessions,
  request: InferenceRequest,
): Promise<Uint8Array | Float64Array> {
  if (request.kind === 'linear') {
    applyTables(request.tables, request.tile);
    return request.tile;
  }
  const { tile, width, height } = request;
  const pixels = new Tensor('uint8', tile, [1, height, width, 3]);
  if (request.kind === 'statistics') {
    const weight = new Tensor('uint8', request.weight, [1, height, width]);
    const { sums } = await sessions.statistics.run({
      tile: pixels,
      weight,
      gain: new Tensor('float32', Float32Array.of(request.gain), [1]),
    });
    return sums!.data as Float64Array;
  }
  const classes = request.scale.length / 3;
  const { normalized } = await sessions.apply.run({
    tile: pixels,
    scale: new Tensor('float32', request.scale, [classes, 3]),
    offset: new Tensor('float32', request.offset, [classes, 3]),
    fade: new Tensor('float32', Float32Array.from(request.fade), [2]),
    blueness: new Tensor('float32', Float32Array.of(request.blueness), [1]),
  });
  return normalized!.data as Uint8Array;
}
