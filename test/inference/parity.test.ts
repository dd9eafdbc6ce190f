/** The exported graphs in onnxruntime-node against the float64 reference (scripts/dcgmm/reference.py). */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { listModels, loadModel } from '../../server/src/inference/manifest.ts';

interface StoredArray {
  readonly file: string;
  readonly type: 'uint8' | 'float32' | 'float64';
  readonly shape: number[];
}

interface Case {
  readonly name: string;
  readonly arrays: Record<
    | 'tile'
    | 'weight'
    | 'scale'
    | 'offset'
    | 'fade'
    | 'blueness'
    | 'gain'
    | `${string}.sums`
    | `${string}.levels`,
    StoredArray
  >;
}

const vectors = fileURLToPath(new URL('../fixtures/parity/', import.meta.url));
const models = fileURLToPath(new URL('../../models/onnx/', import.meta.url));
const index = JSON.parse(readFileSync(`${vectors}index.json`, 'utf8')) as {
  weightsSha256: Record<string, string>;
  tolerances: { greyLevels: number; statisticsRelative: number; statisticsFloorPerPixel: number };
  cases: Case[];
};

function values({ file, type }: StoredArray): Uint8Array | Float32Array | Float64Array {
  const { buffer } = new Uint8Array(readFileSync(vectors + file));
  return {
    uint8: () => new Uint8Array(buffer),
    float32: () => new Float32Array(buffer),
    float64: () => new Float64Array(buffer),
  }[type]();
}

function tensor(array: StoredArray): Tensor {
  return new Tensor(array.type, values(array) as Uint8Array, array.shape);
}

const names = Object.keys(index.weightsSha256);
const sessions = new Map<string, { statistics: InferenceSession; apply: InferenceSession }>();

beforeAll(async () => {
  for (const name of names) {
    const { graphs } = await loadModel(models, name);
    sessions.set(name, {
      statistics: await InferenceSession.create(graphs.statistics),
      apply: await InferenceSession.create(graphs.apply),
    });
  }
});

it('has vectors for every shipped model', async () => {
  expect(names).toEqual(await listModels(models));
});

const cases = names.flatMap((model) => index.cases.map((item) => [model, item.name, item] as const));
describe.each(cases)('%s, %s', (model, _name, { arrays }) => {
  it('is within one grey level of the float64 reference everywhere', async () => {
    const { normalized } = await sessions.get(model)!.apply.run({
      tile: tensor(arrays.tile),
      scale: tensor(arrays.scale),
      offset: tensor(arrays.offset),
      fade: tensor(arrays.fade),
      blueness: tensor(arrays.blueness),
    });
    const expected = values(arrays[`${model}.levels`]!);
    const got = normalized!.data as Uint8Array;
    expect(got.length).toBe(expected.length);
    const worst = got.reduce((max, value, i) => Math.max(max, Math.abs(value - expected[i]!)), 0);
    expect(worst).toBeLessThanOrEqual(index.tolerances.greyLevels);
  });

  it('has the statistics of the float64 reference', async () => {
    const { sums } = await sessions.get(model)!.statistics.run({
      tile: tensor(arrays.tile),
      weight: tensor(arrays.weight),
      gain: tensor(arrays.gain),
    });
    const expected = values(arrays[`${model}.sums`]!);
    const got = sums!.data as Float64Array;
    const counted = (values(arrays.weight) as Uint8Array).reduce((sum, weight) => sum + weight, 0);
    const { statisticsRelative, statisticsFloorPerPixel } = index.tolerances;
    for (const [i, value] of expected.entries())
      expect(Math.abs(got[i]! - value)).toBeLessThanOrEqual(
        statisticsRelative * Math.max(Math.abs(value), statisticsFloorPerPixel * counted),
      );
  });
});
