/** Encodes RGB as JPEG baseline with libjpeg-turbo. */
import { Scratch } from './scratch.ts';

const scratch = new Scratch();

let loaded: Promise<typeof import('@julusian/jpeg-turbo')> | undefined;

/** Loaded on first use, because a thread must not be ended meanwhile (thread-gate.ts). */
export function jpegEncoder(): Promise<typeof import('@julusian/jpeg-turbo')> {
  loaded ??= import('@julusian/jpeg-turbo').then((module) => module.default);
  return loaded;
}

/** JFIF YCbCr 4:2:2: Photometric Interpretation YBR_FULL_422. */
export async function encodeJpeg(
  rgb: Uint8Array,
  width: number,
  height: number,
  quality: number,
): Promise<Uint8Array> {
  const jpeg = await jpegEncoder();
  const options = { format: jpeg.FORMAT_RGB, width, height, quality, subsampling: jpeg.SAMP_422 };
  const room = Buffer.from(scratch.take(jpeg.bufferSize(options)).buffer);
  // A copy of the right size: the room is for the worst case.
  return new Uint8Array(
    jpeg.compressSync(Buffer.from(rgb.buffer, rgb.byteOffset, rgb.length), room, options),
  );
}
