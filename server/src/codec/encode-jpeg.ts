/** RGB to JPEG baseline by libjpeg-turbo. */
import jpeg from '@julusian/jpeg-turbo';

/** JFIF YCbCr 4:2:2: Photometric Interpretation YBR_FULL_422. */
export function encodeJpeg(rgb: Uint8Array, width: number, height: number, quality: number): Uint8Array {
  const options = { format: jpeg.FORMAT_RGB, width, height, quality, subsampling: jpeg.SAMP_422 };
  // A copy of its own size: the binding gives a part of a buffer for the worst case.
  return new Uint8Array(jpeg.compressSync(Buffer.from(rgb.buffer, rgb.byteOffset, rgb.length), options));
}
