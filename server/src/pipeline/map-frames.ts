/** Makes frames of a `linear` result, each from the stored frame at the same position, both for jobs and on request. */
import type { ColourMap } from '../codec/colour-map.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import type { GlassTiles } from './build-levels.ts';
import type { SlidePixels } from './slide-pixels.ts';

/** What determines a frame of the result, apart from the source frame. */
export interface FrameMapping {
  readonly open: SlidePixels;
  readonly colours: ColourMap;
  readonly glass: GlassTiles | undefined;
  readonly encode: Pick<EncodeOptions, 'encoding' | 'quality'>;
}

/**
 * Maps frames of one instance that are either all glass or all not glass. Glass stays as stored if possible.
 * @throws whatever is wrong with a source frame; the error names the frame
 */
export async function mapFrames(
  { open, colours, glass, encode }: FrameMapping,
  level: Level,
  positions: readonly FramePosition[],
  isGlass: boolean,
  signal: AbortSignal,
): Promise<readonly Uint8Array[]> {
  if (!isGlass || !glass) return open.mapFrames(level, positions, colours, encode, signal);
  return Promise.all(positions.map((position) => glass.frame(level, position, signal)));
}
