/**
 * The codecs of the server's decoders for the worker: their JavaScript in chunks and their WebAssembly in files beside
 * it, each loaded when the first frame comes that needs it. Imported for its effect.
 */

import charlsWasm from '@cornerstonejs/codec-charls/decodewasm';
import jpegWasm from '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm';
import openJpegWasm from '@cornerstonejs/codec-openjpeg/decodewasm';
import openJphWasm from '@cornerstonejs/codec-openjph/wasm';
import { type CodecFactory, type CodecName, provideCodecs } from '../../../core/src/codec/codec-modules.ts';

interface CodecParts {
  readonly factory: () => Promise<{ default: unknown }>;
  /** Path of the built file, from the folder of the worker. */
  readonly wasm: unknown;
}

const PARTS: Record<CodecName, CodecParts> = {
  'libjpeg-turbo': {
    factory: () => import('@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs'),
    wasm: jpegWasm,
  },
  openjpeg: { factory: () => import('@cornerstonejs/codec-openjpeg/decodewasmjs'), wasm: openJpegWasm },
  openjph: { factory: () => import('@cornerstonejs/codec-openjph/wasmjs'), wasm: openJphWasm },
  charls: { factory: () => import('@cornerstonejs/codec-charls/decodewasmjs'), wasm: charlsWasm },
};

provideCodecs(async (name) => {
  const { factory, wasm } = PARTS[name];
  const [module, response] = await Promise.all([
    factory(),
    // Beside the worker, wherever the plugin is hosted.
    fetch(new URL(wasm as string, self.location.href)),
  ]);
  if (!response.ok) throw new Error(`the codec ${name} cannot be loaded (${response.status})`);
  return {
    factory: module.default as CodecFactory,
    wasmBinary: new Uint8Array(await response.arrayBuffer()),
  };
});
