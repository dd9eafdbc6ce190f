/**
 * Which colours uncompressed samples hold, where the header contradicts itself: archives that decompress frames are known to
 * keep the Photometric Interpretation of the compressed ones (YBR_FULL_422, YBR_ICT), which the length of the frames gives
 * away. Glass decides: it is bright and without a colour in one of the two readings alone.
 */
import { StainError } from '../errors.ts';
import { type FrameFormat, isWholeLength, ybrFullToRgb } from './frame-format.ts';

/** Glass has at least this grey level in every channel, and the channels of tinted glass differ by no more than that. */
const [LEAST_BRIGHTNESS, MOST_TINT] = [200, 24];
/** Part of the pixels that must look like glass, and how many times as many as in the other reading. */
const [LEAST_GLASS, CLEARLY] = [0.001, 10];
/** Frames that are looked at to tell the colours of a slide, and about how many pixels of each. */
export const FRAMES_FOR_COLOURS = 64;
const PIXELS_FOR_COLOURS = 65536;

/** Whether the samples of an uncompressed frame may be other colours than its header says. @param bytes of the frame */
export function isDoubtful(
  { rows, columns, photometricInterpretation }: Omit<FrameFormat, 'transferSyntaxUid'>,
  bytes: number,
): boolean {
  return photometricInterpretation.startsWith('YBR_') && isWholeLength(bytes, rows * columns * 3);
}

export type NativeColours = 'RGB' | 'YBR_FULL';

/** An uncompressed frame of rows x columns x 3 samples, by pixel or by plane. */
export interface NativeFrame {
  readonly format: Pick<FrameFormat, 'planarConfiguration'>;
  readonly bytes: Uint8Array;
}

/**
 * @param frames of one slide, coarse levels first; no more than FRAMES_FOR_COLOURS are read
 * @returns undefined where there is no glass to tell by
 */
export async function coloursByGlass(frames: AsyncIterable<NativeFrame>): Promise<NativeColours | undefined> {
  let [seen, pixels, rgb, ybr] = [0, 0, 0, 0];
  for await (const { format, bytes } of frames) {
    const count = Math.floor(bytes.length / 3);
    const [step, next] = format.planarConfiguration === 1 ? [1, count] : [3, 1];
    const pixel = new Uint8Array(3);
    const stride = Math.ceil(count / PIXELS_FOR_COLOURS);
    for (let i = 0; i < count; i += stride) {
      for (let c = 0; c < 3; c++) pixel[c] = bytes[i * step + c * next]!;
      if (isGlass(pixel)) rgb++;
      ybrFullToRgb(pixel);
      if (isGlass(pixel)) ybr++;
      pixels++;
    }
    if (++seen === FRAMES_FOR_COLOURS) break;
  }
  if (rgb > LEAST_GLASS * pixels && rgb >= CLEARLY * ybr) return 'RGB';
  if (ybr > LEAST_GLASS * pixels && ybr >= CLEARLY * rgb) return 'YBR_FULL';
  return undefined;
}

/**
 * The format of a frame in doubt with the colours that it holds. @param found by `coloursByGlass`
 * @throws PIXEL_FORMAT_UNSUPPORTED where nothing tells them
 */
export function withColours(format: FrameFormat, found: NativeColours | undefined): FrameFormat {
  const { photometricInterpretation: named } = format;
  // That name fits samples of this number, so that it is believed where nothing speaks against it.
  const colours = found ?? (named === 'YBR_FULL' ? named : undefined);
  if (colours === undefined)
    throw new StainError(
      'PIXEL_FORMAT_UNSUPPORTED',
      `The frames are uncompressed and named ${named}, which they are not, and show no glass to tell their colours by.`,
    );
  return { ...format, photometricInterpretation: colours };
}

function isGlass([r, g, b]: Uint8Array): boolean {
  const darkest = Math.min(r!, g!, b!);
  return darkest >= LEAST_BRIGHTNESS && Math.max(r!, g!, b!) - darkest <= MOST_TINT;
}
