/** The shipped model on the CPU, for tests that need the real network. */
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../server/src/inference/manifest.ts';
import { openNetwork, type StainNetwork } from '../../server/src/inference/network.ts';

export const modelFolder = fileURLToPath(new URL('../../models/onnx/', import.meta.url));

export async function openShippedNetwork(): Promise<StainNetwork> {
  return openNetwork({ model: await loadModel(modelFolder, 'reference'), device: 'cpu', threads: 1 });
}
