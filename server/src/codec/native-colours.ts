/**
 * Which colours uncompressed samples hold, where the header contradicts itself: archives that decompress frames are known to
 * keep the Photometric Interpretation of the compressed ones (YBR_FULL_422, YBR_ICT), which the length of the frames gives
 * away. Glass decides: it is bright and without a colour in one of the two readings alone.
 */
import { type FrameFormat, ybrFullToRgb } from './frame-format.ts';

/** Glass has at least this grey level in every channel, and the channels of tinted glass differ by no more than that. */
const [LEAST_BRIGHTNESS, MOST_TINT] = [200, 24];
/** Part of the pixels that must look like glass, and how many times as many as in the other reading. */
const [LEAST_GLASS, CLEARLY] = [0.001, 10];

/** Whether the samples of an uncompressed frame may be other colours than its header says. @param bytes of the frame */
export function isDoubtful(
  { rows, columns, photometricInterpretation }: FrameFormat,
  bytes: number,
): boolean {
  const samples = rows * columns * 3;
  return (
    photometricInterpretation.startsWith('YBR_') && (bytes === samples || bytes === samples + (samples % 2))
  );
}

/**
 * @param frames of rows x columns x 3 samples, by pixel or by plane @param planar Planar Configuration of the frames
 * @returns undefined where there is no glass to tell by
 */
export function coloursByGlass(
  frames: readonly Uint8Array[],
  planar: number,
): 'RGB' | 'YBR_FULL' | undefined {
  let [pixels, rgb, ybr] = [0, 0, 0];
  for (const frame of frames) {
    const count = Math.floor(frame.length / 3);
    const [step, next] = planar === 1 ? [1, count] : [3, 1];
    const pixel = new Uint8Array(3);
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < 3; c++) pixel[c] = frame[i * step + c * next]!;
      if (isGlass(pixel)) rgb++;
      ybrFullToRgb(pixel);
      if (isGlass(pixel)) ybr++;
    }
    pixels += count;
  }
  if (rgb > LEAST_GLASS * pixels && rgb >= CLEARLY * ybr) return 'RGB';
  if (ybr > LEAST_GLASS * pixels && ybr >= CLEARLY * rgb) return 'YBR_FULL';
  return undefined;
}

function isGlass([r, g, b]: Uint8Array): boolean {
  const darkest = Math.min(r!, g!, b!);
  return darkest >= LEAST_BRIGHTNESS && Math.max(r!, g!, b!) - darkest <= MOST_TINT;
}
