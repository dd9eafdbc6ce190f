import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkCuda } from '../../server/src/inference/cuda/check.ts';
import { type LoadedModel, loadModel } from '../../server/src/inference/manifest.ts';
import { networkOn, openNetwork, type StainNetwork } from '../../server/src/inference/network.ts';
import { startWorker } from '../../server/src/inference/start-worker.ts';
import { modelFolder } from '../support/network.ts';
import { tissue } from '../support/tissue.ts';

const { signal } = new AbortController();
let model: LoadedModel;
let network: StainNetwork;

beforeAll(async () => {
  model = await loadModel(modelFolder, 'reference');
  network = await openNetwork({ model, device: 'cpu', threads: 1 });
});
afterAll(() => network.close());

const tile = (size = 64) => ({ tile: tissue(size, size).rgb, width: size, height: size });
const weighted = (size = 64) => ({
  ...tile(size),
  weight: new Uint8Array(size * size).fill(1),
  gain: 1,
});
const identity = () => ({
  scale: new Float32Array(model.classes * 3).fill(1),
  offset: new Float32Array(model.classes * 3),
  fade: [0.02, 0.08] as const,
  blueness: 0,
});

describe('network', () => {
  it('returns K x 17 sums whose class weights add up to the number of pixels', async () => {
    const input = weighted();
    input.weight.fill(0, 0, 1000);
    const sums = await network.statistics(input, signal);
    expect(sums.length).toBe(model.classes * 17);
    const total = sums.filter((_, i) => i % 17 === 0).reduce((sum, value) => sum + value, 0);
    expect(total).toBeGreaterThan(0);
    expect(total).toBeLessThanOrEqual(64 * 64 - 1000 + 1e-3);
  });

  it('returns the tile unchanged for the identity, twice the same', async () => {
    const source = tile().tile.slice();
    const once = await network.apply({ ...tile(), coefficients: identity() }, signal);
    expect(await network.apply({ ...tile(), coefficients: identity() }, signal)).toEqual(once);
    expect(once.every((value, i) => Math.abs(value - source[i]!) <= 1)).toBe(true);
  });

  it('leaves no specks in dark nuclei, some of whose pixels have hardly any green', async () => {
    // A nucleus of the sample slide: noise of the compression, not black. Every fifth pixel has no green at all.
    const [usual, none] = [
      [36, 6, 56],
      [33, 0, 46],
    ];
    const nucleus = Uint8Array.from(
      Array.from({ length: 64 * 64 }, (_, i) => (i % 5 === 0 ? none! : usual!)).flat(),
    );
    const { offset, ...kept } = identity();
    // Half the density, in every class.
    const coefficients = { ...kept, offset, scale: kept.scale.map((_, i) => (i % 3 === 0 ? 0.5 : 1)) };
    const moved = await network.apply({ tile: nucleus.slice(), width: 64, height: 64, coefficients }, signal);
    const least = Math.min(
      ...moved.filter((_, i) => i % 3 === 2).map((blue, i) => blue - nucleus[i * 3 + 2]!),
    );
    expect(least).toBeGreaterThan(30);
  });

  it('answers in the order of the requests', async () => {
    const finished: number[] = [];
    const sizes = [256, 64, 128, 64];
    await Promise.all(
      sizes.map((size, i) => network.statistics(weighted(size), signal).then(() => finished.push(i))),
    );
    expect(finished).toEqual([0, 1, 2, 3]);
  });

  it('drops aborted requests with the reason and answers the others', async () => {
    const controller = new AbortController();
    const kept = network.statistics(weighted(), signal);
    const dropped = [
      network.statistics(weighted(), controller.signal),
      network.statistics(weighted(), controller.signal),
    ];
    const after = network.statistics(weighted(), signal);
    const reason = new DOMException('enough', 'AbortError');
    controller.abort(reason);
    for (const request of dropped) await expect(request).rejects.toBe(reason);
    expect(await after).toEqual(await kept);
    await expect(network.statistics(weighted(), controller.signal)).rejects.toBe(reason);
  });

  it('fails for a size that the graph does not accept, or pixels that were transferred, and answers the next request', async () => {
    const wrong = {
      tile: new Uint8Array(3 * 7 * 5),
      weight: new Uint8Array(35),
      gain: 1,
      width: 7,
      height: 5,
    };
    await expect(network.statistics(wrong, signal)).rejects.toMatchObject({ code: 'INFERENCE_FAILED' });
    const gone = weighted();
    structuredClone(gone.tile, { transfer: [gone.tile.buffer as ArrayBuffer] });
    await expect(network.statistics(gone, signal)).rejects.toMatchObject({ code: 'INFERENCE_FAILED' });
    expect((await network.statistics(weighted(), signal)).length).toBe(model.classes * 17);
  });

  it('rejects running and later requests when it is closed', async () => {
    const closed = await openNetwork({ model, device: 'cpu', threads: 1 });
    const running = [closed.statistics(weighted(512), signal), closed.statistics(weighted(), signal)];
    const settled = Promise.allSettled(running);
    await closed.close();
    for (const result of await settled)
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'INFERENCE_FAILED' } });
    await expect(closed.statistics(weighted(), signal)).rejects.toMatchObject({ code: 'INFERENCE_FAILED' });
  });

  it('does not start with a file that is not a graph', async () => {
    const broken = { ...model, graphs: { ...model.graphs, apply: new Uint8Array(100) } };
    await expect(openNetwork({ model: broken, device: 'cpu', threads: 1 })).rejects.toMatchObject({
      code: 'MODEL_INVALID',
    });
  });

  it('says so if ONNX Runtime cannot be loaded, as on Alpine', async () => {
    const said = 'libonnxruntime.so.1: cannot open shared object file';
    const lacking = new URL(`data:text/javascript,throw new Error('${said}')`);
    const start = { graphs: model.graphs, providers: [{ name: 'cpu' }], threads: 1 } as const;
    await expect(startWorker(start, lacking)).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringContaining(said),
    });
  });

  it('uses the requested device, or names everything that is missing', async () => {
    const auto = await openNetwork({ model, device: 'auto', threads: 1 });
    await auto.close();
    expect(network.providerReason).toBeUndefined();
    expect(network.deviceProof).toBeUndefined();
    if (auto.executionProvider === 'CUDAExecutionProvider') {
      expect(auto.providerReason).toBeUndefined();
      expect(auto.deviceProof?.convolutions).toBeGreaterThan(0);
      return;
    }
    expect(auto.providerReason).toMatch(/^CUDA cannot be used: /);
    const { missing } = await checkCuda();
    for (const device of ['cuda', 'cuda:1'] as const) {
      const refused = openNetwork({ model, device, threads: 1 });
      await expect(refused).rejects.toMatchObject({ code: 'DEVICE_UNAVAILABLE', data: { missing } });
      for (const { name } of missing) await expect(refused).rejects.toThrow(name);
    }
    for (const { name } of missing) expect(auto.providerReason).toContain(name);
  });
});

describe('a network on two threads, as on CUDA', () => {
  const open = async () => {
    const start = { graphs: model.graphs, providers: [{ name: 'cpu' }], threads: 1 } as const;
    const workers = [(await startWorker(start)).worker, (await startWorker(start)).worker];
    return {
      workers,
      pair: networkOn(model, {
        executionProvider: 'CPUExecutionProvider',
        coreSize: 512,
        workers,
        proof: undefined,
      }),
    };
  };

  it('runs two requests at once with the results of one thread', async () => {
    const { pair } = await open();
    const finished: number[] = [];
    const sizes = [512, 64, 64];
    const results = await Promise.all(
      sizes.map(async (size, i) => {
        const sums = await pair.statistics(weighted(size), signal);
        finished.push(i);
        return sums;
      }),
    );
    await pair.close();
    // The small ones overtake the large one, and keep their own order.
    expect(finished).toEqual([1, 2, 0]);
    expect(results[0]).toEqual(await network.statistics(weighted(512), signal));
    expect(results[2]).toEqual(await network.statistics(weighted(64), signal));
  });

  it('breaks when one of its threads is gone, and ends the other', async () => {
    const { pair, workers } = await open();
    const ended = once(workers[1]!, 'exit');
    workers[0]!.postMessage({ kind: 'close' });
    await ended;
    expect(pair.isBroken).toBe(true);
    await expect(pair.statistics(weighted(), signal)).rejects.toMatchObject({ code: 'INFERENCE_FAILED' });
    await pair.close();
  });
});
