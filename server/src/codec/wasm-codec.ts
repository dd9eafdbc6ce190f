/** What the WebAssembly codecs of the Cornerstone project have in common, and their use with memory given back. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type FrameFormat, invalidFrame, requireFormat } from './frame-format.ts';

interface FrameInfo {
  width: number;
  height: number;
  bitsPerSample: number;
  componentCount: number;
  isSigned: boolean;
}

export interface WasmDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  getDecodedBuffer(): Uint8Array;
  getFrameInfo(): FrameInfo;
  decode(): void;
  delete(): void;
}

export interface WasmEncoder {
  getDecodedBuffer(info: FrameInfo & { isUsingColorTransform: boolean }): Uint8Array;
  getEncodedBuffer(): Uint8Array;
  encode(): void;
  delete(): void;
}

const require = createRequire(import.meta.url);

/** Instantiates the codec's module once per thread. Its WebAssembly lies beside its JavaScript. */
export function loadOnce<Module>(javascript: string, wasm: string): () => Promise<Module> {
  let module: Promise<Module> | undefined;
  return () => {
    module ??= (require(javascript) as (options: object) => Promise<Module>)({
      wasmBinary: readFileSync(require.resolve(wasm)),
      print: () => {},
      printErr: () => {},
    });
    return module;
  };
}

/** Decodes one codestream whose header has been checked; `after` runs before the decoder is deleted. */
export function decodeWith<Decoder extends WasmDecoder>(
  decoder: Decoder,
  bytes: Uint8Array,
  format: FrameFormat,
  after: (pixels: Uint8Array, decoder: Decoder) => Uint8Array,
): Uint8Array {
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    try {
      decoder.decode();
    } catch (cause) {
      throw invalidFrame('A frame cannot be decoded.', cause);
    }
    const { width, height, componentCount: components, bitsPerSample } = decoder.getFrameInfo();
    requireFormat({ width, height, components, bitsPerSample }, format);
    const decoded = decoder.getDecodedBuffer();
    if (decoded.length < width * height * 3) throw invalidFrame('A frame was decoded in part only.');
    return after(decoded.slice(0, width * height * 3), decoder);
  } finally {
    decoder.delete();
  }
}

/** Encodes interleaved RGB with an encoder that is set up already. */
export function encodeWith(encoder: WasmEncoder, rgb: Uint8Array, width: number, height: number): Uint8Array {
  try {
    const info = { width, height, bitsPerSample: 8, componentCount: 3, isSigned: false, isUsingColorTransform: true };
    encoder.getDecodedBuffer(info).set(rgb);
    encoder.encode();
    return encoder.getEncodedBuffer().slice();
  } finally {
    encoder.delete();
  }
}
