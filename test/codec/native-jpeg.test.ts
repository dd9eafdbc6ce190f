/** Native JPEG gives what WebAssembly gives, and leaves to it whatever is unusual. */
import '../../server/src/codec/node-codecs.ts';
import jpegTurbo from '@julusian/jpeg-turbo';
import fc from 'fast-check';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { decodeFrame } from '../../core/src/codec/decode-frame.ts';
import { type NativeJpegDecoder, provideNativeJpeg } from '../../core/src/codec/jpeg.ts';
import { openNativeJpeg } from '../../server/src/codec/native-jpeg.ts';
import { frameFormat, testFrame } from './frames.ts';

const BASELINE = '1.2.840.10008.1.2.4.50';
const SUBSAMPLINGS = [
  jpegTurbo.SAMP_444,
  jpegTurbo.SAMP_422,
  jpegTurbo.SAMP_420,
  jpegTurbo.SAMP_440,
] as const;

function encode(
  rgb: Uint8Array,
  width: number,
  height: number,
  subsampling: number,
  quality: number,
): Uint8Array {
  const options = { format: jpegTurbo.FORMAT_RGB, width, height, subsampling, quality };
  return new Uint8Array(jpegTurbo.compressSync(Buffer.from(rgb), options));
}

// The package brings a shared library for Linux only.
describe.skipIf(process.platform !== 'linux')('native JPEG', () => {
  let native: NativeJpegDecoder;
  beforeAll(async () => {
    native = (await openNativeJpeg())!;
    expect(native).toBeDefined();
  });
  const size = { columns: 48, rows: 32 };
  const sound = encode(testFrame(48, 32), 48, 32, jpegTurbo.SAMP_422, 90);

  it('decodes to the same bits as WebAssembly, whatever the size, subsampling and quality', async () => {
    provideNativeJpeg(() => Promise.resolve(undefined));
    onTestFinished(() => provideNativeJpeg(openNativeJpeg));
    const side = fc.integer({ min: 1, max: 70 });
    const picture = fc.tuple(side, side).chain(([width, height]) =>
      fc.record({
        width: fc.constant(width),
        height: fc.constant(height),
        rgb: fc.oneof(
          fc.uint8Array({ minLength: width * height * 3, maxLength: width * height * 3 }),
          fc.integer().map((seed) => testFrame(width, height, seed)),
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        picture,
        fc.constantFrom(...SUBSAMPLINGS),
        fc.integer({ min: 1, max: 100 }),
        async ({ width, height, rgb }, subsampling, quality) => {
          const jpeg = encode(rgb, width, height, subsampling, quality);
          const expected = await decodeFrame(jpeg, frameFormat(BASELINE, width, height));
          expect(native(jpeg, { columns: width, rows: height })).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is what decodes frames', async () => {
    let decoded = 0;
    provideNativeJpeg(async () => (...frame) => {
      decoded++;
      return native(...frame);
    });
    onTestFinished(() => provideNativeJpeg(openNativeJpeg));
    await decodeFrame(sound, frameFormat(BASELINE, 48, 32));
    expect(decoded).toBe(1);
  });

  it.each([
    ['is cut off', sound.subarray(0, sound.length >> 1), size],
    ['ends within its header', sound.subarray(0, 40), size],
    ['is empty', new Uint8Array(), size],
    ['has another size than its frame', sound, { columns: 47, rows: 32 }],
    ['has the same number of pixels in another shape', sound, { columns: 32, rows: 48 }],
    ['is progressive', withMarker(sound, 0xc2), size],
    ['is so large that the thread could not be ended in time', large(), { columns: 2048, rows: 2056 }],
  ])('leaves to WebAssembly a codestream that %s', (_what, codestream, asked) => {
    expect(native(codestream, asked)).toBeUndefined();
    expect(native(sound, size)).toBeDefined();
  });

  it('decodes sound frames between damaged ones', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 }),
        (changes) => {
          const damaged = sound.slice();
          for (const [at, value] of changes) damaged[at] = value;
          native(damaged, size);
          expect(native(sound, size)).toBeDefined();
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** With another kind of frame header. */
function withMarker(jpeg: Uint8Array, marker: number): Uint8Array {
  const copy = jpeg.slice();
  copy[Buffer.from(copy).indexOf(Buffer.from('ffc00011', 'hex')) + 1] = marker;
  return copy;
}

function large(): Uint8Array {
  return encode(new Uint8Array(2048 * 2056 * 3), 2048, 2056, jpegTurbo.SAMP_420, 50);
}
