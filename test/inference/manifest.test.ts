import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listModels, loadModel } from '../../server/src/inference/manifest.ts';
import { modelFolder } from '../support/network.ts';

let folder: string;
const path = (name: string): string => join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'models-'));
  for (const name of ['manifest.json', 'reference.statistics.onnx', 'reference.apply.onnx'])
    await cp(join(modelFolder, name), path(name));
});
afterEach(() => rm(folder, { recursive: true }));

type Change = (manifest: {
  schemaVersion: number;
  models: [{ graphs: { apply: { file: string; sha256?: string; inputs: unknown[] } } }];
}) => void;

async function change(edit: Change): Promise<void> {
  const manifest = JSON.parse(await readFile(path('manifest.json'), 'utf8'));
  edit(manifest);
  await writeFile(path('manifest.json'), JSON.stringify(manifest));
}

describe('model manifest', () => {
  it('loads the shipped model', async () => {
    expect(await listModels(modelFolder)).toContain('reference');
    const model = await loadModel(modelFolder, 'reference');
    expect(model).toMatchObject({ name: 'reference', classes: 4, halo: 16, alignment: 4 });
    expect(model.sha256).toMatch(/^[0-9a-f]{64}$/);
    const small = await loadModel(modelFolder, 'fast');
    expect(small).toMatchObject({ name: 'fast', classes: 4, halo: 20, alignment: 4 });
    // The small network has the same classes as the large one: a template of either fits both.
    // So do those of earlier models: their weights were the same.
    expect(small.templatesOf).toEqual(expect.arrayContaining([model.sha256, small.sha256]));
    expect(model.templatesOf).toEqual(small.templatesOf);
  });

  it('refuses a graph with one changed bit', async () => {
    const graph = await readFile(path('reference.apply.onnx'));
    graph[graph.length >> 1]! ^= 1;
    await writeFile(path('reference.apply.onnx'), graph);
    await expect(loadModel(folder, 'reference')).rejects.toMatchObject({ code: 'MODEL_INVALID' });
  });

  it('refuses a missing graph', async () => {
    await rm(path('reference.statistics.onnx'));
    await expect(loadModel(folder, 'reference')).rejects.toMatchObject({ code: 'MODEL_INVALID' });
  });

  it.each<[string, Change]>([
    ['of another version', (manifest) => (manifest.schemaVersion = 2)],
    ['without a digest', ({ models: [model] }) => delete model.graphs.apply.sha256],
    [
      'that points outside its folder',
      ({ models: [model] }) => (model.graphs.apply.file = '../reference.apply.onnx'),
    ],
  ])('refuses a manifest %s', async (_name, edit) => {
    await change(edit);
    await expect(loadModel(folder, 'reference')).rejects.toMatchObject({ code: 'MODEL_INVALID' });
  });

  it('refuses a graph of an earlier version, and says how to make it anew', async () => {
    await change(({ models: [model] }) => model.graphs.apply.inputs.pop());
    const refused = loadModel(folder, 'reference');
    await expect(refused).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    await expect(refused).rejects.toThrow(/reference\.apply\.onnx has no input "blueness".*dcgmm\.export/);
  });

  it('refuses a manifest that is missing or not JSON, and an unknown model', async () => {
    await expect(loadModel(folder, 'other')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND', status: 404 });
    await writeFile(path('manifest.json'), '{');
    await expect(loadModel(folder, 'reference')).rejects.toMatchObject({ code: 'MODEL_INVALID' });
    await rm(path('manifest.json'));
    await expect(loadModel(folder, 'reference')).rejects.toMatchObject({ code: 'MODEL_INVALID' });
  });
});
