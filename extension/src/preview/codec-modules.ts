/**
 * The codecs of the server's decoders for the worker: their JavaScript in chunks and their WebAssembly in files beside
 * it, each loaded when the first frame comes that needs it. The build puts this file in the place of the server's.
 */
import type { CodecFactory, CodecModule, CodecName } from '../../../server/src/codec/codec-modules.ts';

const FACTORIES: Record<CodecName, () => Promise<{ default: unknown }>> = {
  'libjpeg-turbo': () => import('@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs'),
  openjpeg: () => import('@cornerstonejs/codec-openjpeg/decodewasmjs'),
  openjph: () => import('@cornerstonejs/codec-openjph/wasmjs'),
  charls: () => import('@cornerstonejs/codec-charls/decodewasmjs'),
};

export async function codecModule(name: CodecName): Promise<CodecModule> {
  const [factory, response] = await Promise.all([
    FACTORIES[name](),
    // Beside the worker, wherever the plugin is hosted.
    fetch(new URL(`codecs/${name}.wasm`, self.location.href)),
  ]);
  if (!response.ok) throw new Error(`codecs/${name}.wasm cannot be loaded (${response.status})`);
  return {
    factory: factory.default as CodecFactory,
    wasmBinary: new Uint8Array(await response.arrayBuffer()),
  };
}
