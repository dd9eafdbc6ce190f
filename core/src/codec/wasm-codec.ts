/** What the WebAssembly codecs of the Cornerstone project share, and how to use them without leaking memory. */
import { StainError } from '../errors.ts';
import { type CodecName, codecModule } from './codec-modules.ts';
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

/** Runs `work` with a codec's WebAssembly module. */
export type UseCodec<Module> = <Result>(work: (module: Module) => Result) => Promise<Result>;

/**
 * A codec that is instantiated on first use, once per thread.
 * An instance that has thrown is not used again: it never frees C++ exceptions, a trap leaves the heap as it was, and
 * memory that a malicious codestream made it grow is released only with the instance.
 */
export function wasmCodec<Module>(name: CodecName): UseCodec<Module> {
  let instance: Promise<Module> | undefined;
  const instantiate = async (): Promise<Module> => {
    const { factory, wasmBinary } = await codecModule(name);
    return (await factory({ wasmBinary, print: () => {}, printErr: () => {} })) as Module;
  };
  return async (work) => {
    try {
      instance ??= instantiate();
      return work(await instance);
    } catch (error) {
      instance = undefined;
      throw error;
    }
  };
}

/**
 * Decodes a codestream whose header has been checked; `after` runs before the decoder is deleted.
 * @throws FRAME_INVALID, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED
 */
export function decodeWith<Decoder extends WasmDecoder>(
  Decoder: new () => Decoder,
  bytes: Uint8Array,
  format: FrameFormat,
  after: (pixels: Uint8Array, decoder: Decoder) => Uint8Array,
): Uint8Array {
  try {
    const decoder = new Decoder();
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    const { width, height, componentCount: components, bitsPerSample } = decoder.getFrameInfo();
    requireFormat({ width, height, components, bitsPerSample }, format);
    const decoded = decoder.getDecodedBuffer();
    if (decoded.length < width * height * 3) throw invalidFrame('A frame was only partly decoded.');
    // Copied, because the view disappears with the decoder (and has a class of its own in one of them).
    const pixels = after(new Uint8Array(decoded.subarray(0, width * height * 3)), decoder);
    decoder.delete();
    return pixels;
  } catch (cause) {
    if (cause instanceof StainError) throw cause;
    throw invalidFrame('A frame cannot be decoded.', cause);
  }
}

/** Encodes interleaved RGB with a configured encoder. */
export function encodeWith(encoder: WasmEncoder, rgb: Uint8Array, width: number, height: number): Uint8Array {
  const info = {
    width,
    height,
    bitsPerSample: 8,
    componentCount: 3,
    isSigned: false,
    isUsingColorTransform: true,
  };
  encoder.getDecodedBuffer(info).set(rgb);
  encoder.encode();
  const bytes = new Uint8Array(encoder.getEncodedBuffer());
  encoder.delete();
  return bytes;
}
