/** Frames to RGB in the worker: JPEG by the browser's own decoder, and uncompressed RGB. Other encodings are refused. */

const JPEG = [0xff, 0xd8, 0xff];
const JPEG_LS = 0xf7;
/** Adobe's marker with transform 0: the components are R, G and B as they are. */
const NOT_TRANSFORMED = [0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0];

/** height x width x 3 uint8. @throws Error where the encoding is not known here */
export async function decodeFrame(
  encoded: ArrayBuffer,
  {
    width,
    height,
    photometricInterpretation,
  }: { width: number; height: number; photometricInterpretation: string },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(encoded);
  if (bytes.length === width * height * 3) return bytes.slice();
  if (!JPEG.every((value, i) => bytes[i] === value) || bytes[3] === JPEG_LS)
    throw new Error('the frames of this slide are not JPEG');
  // A JPEG of RGB components without this marker would be taken as YCbCr.
  const parts =
    photometricInterpretation === 'RGB'
      ? [bytes.subarray(0, 2), new Uint8Array(NOT_TRANSFORMED), bytes.subarray(2)]
      : [bytes];
  const bitmap = await createImageBitmap(new Blob(parts as BlobPart[], { type: 'image/jpeg' }), {
    colorSpaceConversion: 'none',
    premultiplyAlpha: 'none',
  });
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + 1]!;
    rgb[to + 2] = data[from + 2]!;
  }
  return rgb;
}
