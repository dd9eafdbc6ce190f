/**
 * Where the codecs' JavaScript and WebAssembly come from: packages under Node (server/src/codec/node-codecs.ts), files
 * beside the worker in a browser (extension/src/preview/browser-codecs.ts). The code that decodes provides them first.
 */

export type CodecName = 'libjpeg-turbo' | 'openjpeg' | 'openjph' | 'charls';

/** Instantiates a module built by Emscripten. */
export type CodecFactory = (options: object) => Promise<unknown>;

export interface CodecModule {
  readonly factory: CodecFactory;
  readonly wasmBinary: Uint8Array;
}

export type LoadCodec = (name: CodecName) => Promise<CodecModule>;

let load: LoadCodec = (name) => Promise.reject(new Error(`the codec ${name} was not provided`));

/** Call once, when the decoding module is loaded. */
export function provideCodecs(loader: LoadCodec): void {
  load = loader;
}

export const codecModule: LoadCodec = (name) => load(name);
