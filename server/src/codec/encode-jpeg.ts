/** Encodes RGB as JPEG baseline with libjpeg-turbo. */
import jpeg from '@julusian/jpeg-turbo';

/** JFIF YCbCr 4:2:2: Photometric Interpretation YBR_FULL_422. */
export function encodeJpeg(rgb: Uint8Array, width: number, height: number, quality: number): Uint8Array {
  const options = { format: jpeg.FORMAT_RGB, width, height, quality, subsampling: jpeg.SAMP_422 };
  // A copy of the right size: the binding returns part of a buffer sized for the worst case.
  return new Uint8Array(jpeg.compressSync(Buffer.from(rgb.buffer, rgb.byteOffset, rgb.length), options));
}
