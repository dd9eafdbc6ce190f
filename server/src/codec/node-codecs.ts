/**
 * Provides the WebAssembly codecs from their packages, and native JPEG where there is one. Imported for its side effect
 * by code that decodes or encodes under Node.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type CodecFactory, type CodecName, provideCodecs } from '../../../core/src/codec/codec-modules.ts';
import { provideNativeJpeg } from '../../../core/src/codec/jpeg.ts';
import { jpegEncoder } from './encode-jpeg.ts';
import { openNativeJpeg } from './native-jpeg.ts';

/** Entry points of each package: JavaScript, WebAssembly. */
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

provideCodecs(async (name) => {
  const [javascript, wasm] = ENTRIES[name];
  return {
    factory: require(javascript) as CodecFactory,
    wasmBinary: readFileSync(require.resolve(wasm)),
  };
});

provideNativeJpeg(openNativeJpeg);

/** Loads all native code that decoding and encoding use. Otherwise it is loaded on first use. */
export async function loadNativeCodecs(): Promise<void> {
  await Promise.all([jpegEncoder(), openNativeJpeg()]);
}
