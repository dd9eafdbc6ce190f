/**
 * Estimates from a sample of frames how much the encoder compresses the levels of a slide. The ratio is in every header
 * (PS3.3 C.7.6.1.1.5), and a request for a header must not wait for all frames.
 */
import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import { glassFrames } from '../slide/glass-map.ts';
import type { Level } from '../slide/types.ts';
import { framesTogether } from './frames-together.ts';
import { type FrameMapping, mapFrames } from './map-frames.ts';

/** Number of sampled frames per level: tissue differs from frame to frame, glass hardly does. */
const FRAMES = 48;
const GLASS_FRAMES = 8;
/** Maximum number of sampled pixels: a single frame may be a whole level. */
const PIXELS = 6e6;
const DIGITS = 3;

/**
 * Ratio of uncompressed to compressed size for each level, from the frames made by mapping each level by itself. Every
 * process gets the same ratio for the same slide.
 */
export async function estimateRatios(
  mapping: FrameMapping,
  levels: readonly Level[],
  signal: AbortSignal,
): Promise<number[]> {
  return Promise.all(levels.map((level) => estimateRatio(mapping, level, signal)));
}

async function estimateRatio(mapping: FrameMapping, level: Level, signal: AbortSignal): Promise<number> {
  const affordable = Math.max(1, Math.floor(PIXELS / (level.rows * level.columns)));
  let bytes = 0;
  const isGlassFrame = glassFrames(mapping.glass?.map, level);
  for (const isGlass of [true, false]) {
    const frames = level.frames.filter((_, frame) => isGlassFrame(frame) === isGlass);
    const chosen = evenlySpaced(frames, Math.min(affordable, isGlass ? GLASS_FRAMES : FRAMES));
    let made = 0;
    for (const some of framesTogether(level, chosen))
      for (const frame of await mapFrames(mapping, level, some, isGlass, signal)) made += frame.length;
    if (chosen.length > 0) bytes += (made / chosen.length) * frames.length;
  }
  return Number(ratioOf(level, bytes).toPrecision(DIGITS));
}

/** Ratio of uncompressed to compressed size. @param encodedBytes of all frames of the level */
export function ratioOf({ frames, rows, columns }: Level, encodedBytes: number): number {
  return (frames.length * rows * columns * 3) / encodedBytes;
}
