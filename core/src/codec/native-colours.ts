/**
 * Determines the colours of samples if the header contradicts itself: archives that decompress frames, or compress them
 * anew without loss, are known to keep the Photometric Interpretation of the frames they had (YBR_FULL_422, YBR_ICT).
 * Glass decides: it is bright and colourless in only one of the two interpretations.
 */
import { isUncompressed, transferSyntax } from '../dicom/transfer-syntaxes.ts';
import { StainError } from '../errors.ts';
import { type FrameFormat, isWholeLength, type StoredFrame, ybrFullToRgb } from './frame-format.ts';
import { readJ2kHeader } from './jpeg2000-header.ts';

/**
 * Glass has at least this grey level in every channel, and the channels of tinted glass differ by no more than this.
 */
const [MIN_BRIGHTNESS, MAX_TINT] = [200, 24];
/** Fraction of the pixels that must look like glass, and how many times as many as in the other interpretation. */
const [MIN_GLASS, CLEARLY] = [0.001, 10];
/** Number of frames used to determine the colours of a slide, and the approximate number of pixels per frame. */
export const FRAMES_FOR_COLOURS = 64;
const PIXELS_FOR_COLOURS = 65536;

/**
 * Whether the samples of a frame may have other colours than its header says. RLE and JPEG-LS hold three whole samples
 * a pixel, in colours that only the header names; of its YCbCr names, YBR_FULL alone is possible (PS3.5 8.2.2, 8.2.3).
 * YBR_ICT and YBR_RCT name the colour transform of JPEG 2000 (PS3.3 C.7.6.3.1.2), which a codestream may lack.
 * @param bytes of the frame, or of another one of its instance
 */
export function isDoubtful(format: FrameFormat, bytes: Uint8Array): boolean {
  const { rows, columns, photometricInterpretation, transferSyntaxUid } = format;
  if (!photometricInterpretation.startsWith('YBR_')) return false;
  const { codec } = transferSyntax(transferSyntaxUid);
  if (codec === 'rle' || codec === 'jpeg-ls') return photometricInterpretation !== 'YBR_FULL';
  if (codec === 'jpeg-2000') return photometricInterpretation !== 'YBR_FULL' && lacksColourTransform(bytes);
  return codec === 'uncompressed' && isWholeLength(bytes.length, rows * columns * 3);
}

/** A damaged header is reported by the decoder. */
function lacksColourTransform(codestream: Uint8Array): boolean {
  try {
    return !readJ2kHeader(codestream).colourTransform;
  } catch (error) {
    if (error instanceof StainError || error instanceof RangeError) return false;
    throw error;
  }
}

export type NativeColours = 'RGB' | 'YBR_FULL';

/**
 * @param frames of one slide, coarse levels first; no more than FRAMES_FOR_COLOURS are read
 * @param decode of a compressed frame, to rows x columns x 3 samples; undefined if it is damaged
 * @returns undefined if there is no glass to decide by
 */
export async function coloursByGlass(
  frames: AsyncIterable<StoredFrame>,
  decode: (frame: StoredFrame) => Promise<Uint8Array | undefined>,
): Promise<NativeColours | undefined> {
  let [seen, pixels, rgb, ybr] = [0, 0, 0, 0];
  for await (const { format, bytes } of frames) {
    const isNative = isUncompressed(format.transferSyntaxUid);
    const samples = isNative
      ? bytes
      : await decode({ bytes, format: { ...format, photometricInterpretation: 'RGB' } });
    const count = Math.floor((samples?.length ?? 0) / 3);
    const [step, next] = isNative && format.planarConfiguration === 1 ? [1, count] : [3, 1];
    const pixel = new Uint8Array(3);
    const stride = Math.ceil(count / PIXELS_FOR_COLOURS);
    for (let i = 0; i < count; i += stride) {
      for (let c = 0; c < 3; c++) pixel[c] = samples![i * step + c * next]!;
      if (isGlass(pixel)) rgb++;
      ybrFullToRgb(pixel);
      if (isGlass(pixel)) ybr++;
      pixels++;
    }
    if (++seen === FRAMES_FOR_COLOURS) break;
  }
  if (rgb > MIN_GLASS * pixels && rgb >= CLEARLY * ybr) return 'RGB';
  if (ybr > MIN_GLASS * pixels && ybr >= CLEARLY * rgb) return 'YBR_FULL';
  return undefined;
}

/**
 * The format of a doubtful frame, with its actual colours. @param found by `coloursByGlass`
 * @throws PIXEL_FORMAT_UNSUPPORTED if nothing determines them
 */
export function withColours(format: FrameFormat, found: NativeColours | undefined): FrameFormat {
  const { photometricInterpretation: named } = format;
  // That value is consistent with this number of samples, so it is trusted if nothing contradicts it. Scanners are known
  // to compress YCbCr by JPEG 2000 without a transform, which converters name YBR_ICT.
  const isPossible = named === 'YBR_FULL' || transferSyntax(format.transferSyntaxUid).codec === 'jpeg-2000';
  const colours = found ?? (isPossible ? 'YBR_FULL' : undefined);
  if (colours === undefined)
    throw new StainError(
      'PIXEL_FORMAT_UNSUPPORTED',
      `The frames are wrongly labelled ${named}, and no glass in them shows what their colours are.`,
    );
  return { ...format, photometricInterpretation: colours };
}

function isGlass([r, g, b]: Uint8Array): boolean {
  const darkest = Math.min(r!, g!, b!);
  return darkest >= MIN_BRIGHTNESS && Math.max(r!, g!, b!) - darkest <= MAX_TINT;
}
