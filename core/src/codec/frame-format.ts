/** What the header says about a frame, and the checks that all codecs share. */
import { StainError } from '../errors.ts';
import { MAX_FRAME_PIXELS } from '../image/raster.ts';

export interface FrameFormat {
  readonly transferSyntaxUid: string;
  /** Rows and Columns: the size of each frame, in pixels. */
  readonly rows: number;
  readonly columns: number;
  readonly photometricInterpretation: string;
  readonly planarConfiguration: number;
}

export interface StoredFrame {
  readonly format: FrameFormat;
  readonly bytes: Uint8Array;
}

/** Size and samples as stated by the codestream itself. */
export interface CodestreamFormat {
  readonly width: number;
  readonly height: number;
  readonly components: number;
  readonly bitsPerSample: number;
}

/** Called before anything else, because the announced size bounds all memory. @throws FRAME_INVALID */
export function requireFrameSize({ rows, columns }: FrameFormat): void {
  const isSize = [rows, columns].every((size) => Number.isInteger(size) && size > 0);
  if (!isSize || rows * columns > MAX_FRAME_PIXELS)
    throw invalidFrame(`Frames of ${columns} x ${rows} pixels cannot be decoded.`);
}

/**
 * Maximum size of a stored frame: compression makes no frame much larger; tables and markers add a little. Reading a
 * region holds all of its frames in memory, so a frame padded to hundreds of megabytes is refused first.
 */
export function maxStoredBytes({ rows, columns }: Pick<FrameFormat, 'rows' | 'columns'>): number {
  return 2 * rows * columns * 3 + 2 ** 20;
}

/**
 * Called before a codestream is decoded, so that a malicious one never gets the memory it asks for.
 * @throws FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED
 */
export function requireFormat(found: CodestreamFormat, expected: FrameFormat): void {
  if (found.width !== expected.columns || found.height !== expected.rows)
    throw new StainError(
      'FRAME_SIZE_MISMATCH',
      `The header announces frames of ${expected.columns} x ${expected.rows} pixels, the codestream holds ${found.width} x ${found.height}.`,
      { data: { header: [expected.columns, expected.rows], codestream: [found.width, found.height] } },
    );
  if (found.components !== 3 || found.bitsPerSample !== 8)
    throw new StainError(
      'PIXEL_FORMAT_UNSUPPORTED',
      `The codestream holds ${found.components} component(s) of ${found.bitsPerSample} bits.`,
    );
}

/**
 * Whether the length is that of an uncompressed frame: the last one of an instance may be padded to even (PS3.5 8.1.1).
 */
export function isWholeLength(bytes: number, size: number): boolean {
  return bytes === size || bytes === size + (size % 2);
}

export function invalidFrame(message: string, cause?: unknown): StainError {
  return new StainError('FRAME_INVALID', message, cause === undefined ? {} : { cause });
}

/** Converts full-range YCbCr to RGB, in place (ITU-T T.871, PS3.3 C.7.6.3.1.2). */
export function ybrFullToRgb(pixels: Uint8Array): void {
  // A clamped view rounds and clips.
  const rgb = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.length);
  for (let at = 0; at < rgb.length; at += 3) {
    const y = rgb[at]!;
    const cb = rgb[at + 1]! - 128;
    const cr = rgb[at + 2]! - 128;
    rgb[at] = y + 1.402 * cr;
    rgb[at + 1] = y - 0.344136 * cb - 0.714136 * cr;
    rgb[at + 2] = y + 1.772 * cb;
  }
}

/** Converts three consecutive planes to interleaved samples. */
export function interleave(planes: Uint8Array): Uint8Array {
  const size = planes.length / 3;
  const pixels = new Uint8Array(planes.length);
  for (let i = 0, at = 0; i < size; i++) {
    pixels[at++] = planes[i]!;
    pixels[at++] = planes[size + i]!;
    pixels[at++] = planes[2 * size + i]!;
  }
  return pixels;
}
