/** Encoders that only tests need: what other systems send. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

interface Charls {
  JpegLSEncoder: new () => {
    getDecodedBuffer(info: {
      width: number;
      height: number;
      bitsPerSample: number;
      componentCount: number;
    }): Uint8Array;
    setNearLossless(value: number): void;
    setInterleaveMode(mode: 0 | 1 | 2): void;
    encode(): void;
    getEncodedBuffer(): Uint8Array;
    delete(): void;
  };
}

/** @param mode 0: by plane (`pixels` are planes), 1: by line, 2: by sample */
export async function encodeJpegLs(
  pixels: Uint8Array,
  width: number,
  height: number,
  mode: 0 | 1 | 2,
): Promise<Uint8Array> {
  const start = require('@cornerstonejs/codec-charls/wasmjs') as (options: object) => Promise<Charls>;
  const { JpegLSEncoder } = await start({
    wasmBinary: readFileSync(require.resolve('@cornerstonejs/codec-charls/wasm')),
  });
  const encoder = new JpegLSEncoder();
  encoder.getDecodedBuffer({ width, height, bitsPerSample: 8, componentCount: 3 }).set(pixels);
  encoder.setNearLossless(0);
  encoder.setInterleaveMode(mode);
  encoder.encode();
  const bytes = new Uint8Array(encoder.getEncodedBuffer());
  encoder.delete();
  return bytes;
}

interface OpenJph {
  HTJ2KEncoder: new () => {
    getDecodedBuffer(info: object): Uint8Array;
    setQuality(reversible: boolean, rate: number): void;
    encode(): void;
    getEncodedBuffer(): Uint8Array;
    delete(): void;
  };
}

/** Lossless HTJ2K of interleaved samples, without the colour transform. */
export async function encodeUntransformed(
  pixels: Uint8Array,
  width: number,
  height: number,
): Promise<Uint8Array> {
  const start = require('@cornerstonejs/codec-openjph/wasmjs') as (options: object) => Promise<OpenJph>;
  const { HTJ2KEncoder } = await start({
    wasmBinary: readFileSync(require.resolve('@cornerstonejs/codec-openjph/wasm')),
    print: () => {},
  });
  const encoder = new HTJ2KEncoder();
  const samples = { bitsPerSample: 8, componentCount: 3, isSigned: false, isUsingColorTransform: false };
  encoder.getDecodedBuffer({ width, height, ...samples }).set(pixels);
  encoder.setQuality(true, 0);
  encoder.encode();
  const bytes = new Uint8Array(encoder.getEncodedBuffer());
  encoder.delete();
  return bytes;
}

/** Interleaved pixels as DICOM RLE (PS3.5 annex G): runs of the same byte, and single bytes as literals. */
export function encodeRle(pixels: Uint8Array): Buffer {
  const header = Buffer.alloc(64);
  header.writeUInt32LE(3, 0);
  const segments: Buffer[] = [];
  let at = header.length;
  for (let c = 0; c < 3; c++) {
    header.writeUInt32LE(at, 4 + 4 * c);
    const packed = packBits(pixels.filter((_, i) => i % 3 === c));
    segments.push(packed);
    at += packed.length;
  }
  return Buffer.concat([header, ...segments]);
}

function packBits(plane: Uint8Array): Buffer {
  const packed: number[] = [];
  for (let at = 0; at < plane.length; ) {
    let run = 1;
    while (run < 128 && plane[at + run] === plane[at]) run++;
    if (run > 1) packed.push(257 - run, plane[at]!);
    else packed.push(0, plane[at]!);
    at += run;
  }
  if (packed.length % 2 === 1) packed.push(0);
  return Buffer.from(packed);
}
