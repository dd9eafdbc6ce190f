/**
 * Where the codecs' JavaScript and WebAssembly come from: here, packages. The preview in the browser has a file of its
 * own in the place of this one (extension/src/preview/codec-modules.ts); all other files of the decoders are shared.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export type CodecName = 'libjpeg-turbo' | 'openjpeg' | 'openjph' | 'charls';

/** Instantiates a module that Emscripten made. */
export type CodecFactory = (options: object) => Promise<unknown>;

export interface CodecModule {
  readonly factory: CodecFactory;
  readonly wasmBinary: Uint8Array;
}

/** Entry points of the package: JavaScript, WebAssembly. */
const ENTRIES: Record<CodecName, readonly [string, string]> = {
  'libjpeg-turbo': [
    '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs',
    '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm',
  ],
  openjpeg: ['@cornerstonejs/codec-openjpeg/wasmjs', '@cornerstonejs/codec-openjpeg/wasm'],
  openjph: ['@cornerstonejs/codec-openjph/wasmjs', '@cornerstonejs/codec-openjph/wasm'],
  charls: ['@cornerstonejs/codec-charls/wasmjs', '@cornerstonejs/codec-charls/wasm'],
};

const require = createRequire(import.meta.url);

export async function codecModule(name: CodecName): Promise<CodecModule> {
  const [javascript, wasm] = ENTRIES[name];
  return {
    factory: require(javascript) as CodecFactory,
    wasmBinary: readFileSync(require.resolve(wasm)),
  };
}
