/**
 * JPEG with the native libjpeg-turbo that comes with the encoder's package: the same pixels as the WebAssembly build, bit
 * for bit, in less than half the time. Its functions are called directly, because the package's own binding knows the
 * fast inverse DCT only, which gives other pixels.
 */
import type { NativeJpegDecoder } from '../../../core/src/codec/jpeg.ts';
import { jpegEncoder } from './encode-jpeg.ts';

/** On Linux the encoder loads it; elsewhere it is part of the encoder, and WebAssembly decodes. */
const LIBRARY = 'libturbojpeg.so.0';

// turbojpeg.h, version 3.
const TJINIT_DECOMPRESS = 1;
const TJPF_RGB = 0;
const TJPARAM = {
  stopOnWarning: 0,
  subsampling: 4,
  width: 5,
  height: 6,
  precision: 7,
  scanLimit: 13,
} as const;

/**
 * A thread cannot be ended during a native call, so only what takes milliseconds is decoded natively: one scan, and no
 * more pixels than this.
 */
const MAX_PIXELS = 2048 * 2048;

let opened: Promise<NativeJpegDecoder | undefined> | undefined;

/** The decoder of this thread; undefined where the library or koffi is not available. */
export function openNativeJpeg(): Promise<NativeJpegDecoder | undefined> {
  opened ??= openDecoder();
  return opened;
}

async function openDecoder(): Promise<NativeJpegDecoder | undefined> {
  const functions = await loadFunctions().catch(() => undefined);
  if (!functions) return undefined;
  const { init, destroy, set, get, readHeader, decompress } = functions;
  const open = (): unknown => {
    const decoder: unknown = init(TJINIT_DECOMPRESS);
    set(decoder, TJPARAM.stopOnWarning, 1);
    set(decoder, TJPARAM.scanLimit, 1);
    return decoder;
  };
  let decoder = open();

  const decode: NativeJpegDecoder = (codestream, { columns, rows }, memory) => {
    if (readHeader(decoder, codestream, codestream.length) !== 0) return undefined;
    // The library writes as many pixels as it found in the header, whatever the size of the buffer.
    const found = [TJPARAM.width, TJPARAM.height, TJPARAM.precision].map((parameter) =>
      get(decoder, parameter),
    );
    if (found[0] !== columns || found[1] !== rows || found[2] !== 8) return undefined;
    // TJSAMP_UNKNOWN, which the WebAssembly binding refuses.
    if (get(decoder, TJPARAM.subsampling) === -1) return undefined;
    const length = columns * rows * 3;
    const rgb = memory?.length === length ? memory : new Uint8Array(length);
    const failed = decompress(decoder, codestream, codestream.length, rgb, 0, TJPF_RGB) !== 0;
    return failed ? undefined : rgb;
  };
  return (codestream, size, memory) => {
    if (size.columns * size.rows > MAX_PIXELS) return undefined;
    const rgb = decode(codestream, size, memory);
    if (rgb) return rgb;
    // After a damaged header a decoder refuses sound ones too.
    destroy(decoder);
    decoder = open();
    return undefined;
  };
}

async function loadFunctions() {
  await jpegEncoder();
  const { load } = await import('koffi');
  const library = load(LIBRARY);
  return {
    init: library.func('void *tj3Init(int)'),
    destroy: library.func('void tj3Destroy(void *)'),
    set: library.func('int tj3Set(void *, int, int)'),
    get: library.func('int tj3Get(void *, int)'),
    readHeader: library.func('int tj3DecompressHeader(void *, const uint8_t *, size_t)'),
    decompress: library.func('int tj3Decompress8(void *, const uint8_t *, size_t, void *, int, int)'),
  };
}
