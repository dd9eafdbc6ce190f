/** Finds the tiles of a slide that show only glass, and copies them to the result, as stored if possible. */

import { asYbrFull422 } from '../../../core/src/codec/jpeg.ts';
import { JPEG_BASELINE } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import { noteText } from '../../../core/src/notes.ts';
import { densityAt, type Glass } from '../../../core/src/stain/optical-density.ts';
import { fadeOf } from '../../../core/src/stain/stain.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import { mapAtOnce } from '../sharing/map-at-once.ts';
import { GlassCells, type GlassMap, glassFrames } from '../slide/glass-map.ts';
import { extentOf } from '../slide/placement.ts';
import type { FramePosition, Level } from '../slide/types.ts';
import type { GlassTiles } from './build-levels.ts';
import { framesTogether } from './frames-together.ts';
import type { SlidePixels } from './slide-pixels.ts';

/** Number of base-level tiles, evenly spread, to check among those that the map calls glass. */
const PROBES = 32;
/** Maximum number of them in memory at once, and of their pixels. */
const AT_ONCE = 8;
const PIXELS_AT_ONCE = 4e6;
/** Fraction of their pixels that may be as dense as tissue: specks that the small level does not show. */
const TOLERATED = 0.001;

export interface FoundGlass {
  /** undefined if the slide has no suitable small level, or if that level does not match the base level. */
  readonly tiles: GlassTiles | undefined;
  readonly notes: readonly string[];
}

/**
 * A stored frame is passed through if the result has the same encoding and colours: JPEG baseline in YCbCr, with no ICC
 * profile to apply. Any other frame is decoded and encoded again, without the network.
 *
 * @param glass of the slide: whatever is not denser than the lower end of its fade is glass
 */
export async function findGlassTiles(
  open: SlidePixels,
  glass: Glass,
  output: Pick<EncodeOptions, 'encoding' | 'quality'>,
  codecs: CodecPool,
  signal: AbortSignal,
): Promise<FoundGlass> {
  const fade = fadeOf(glass.density);
  const level = open.glassLevel;
  if (!level) return { tiles: undefined, notes: [] };
  const map = await readMap(open, level, fade.low, signal);
  if (!(await isTrue(map, open, fade.high, signal)))
    return {
      tiles: undefined,
      notes: [noteText('GLASS_LEVEL_UNTRUE')],
    };
  const tiles: GlassTiles = {
    map,
    absent: glass.colour,
    pixels: open.readFrame,
    async frame(level, position, reader) {
      if (output.encoding === 'jpeg' && !open.colour.table) {
        const { format, bytes } = await open.storedFrame(level, position, reader);
        const passed = format.transferSyntaxUid === JPEG_BASELINE ? asYbrFull422(bytes, format) : undefined;
        if (passed) return passed;
      }
      const { rows, columns } = level;
      const { rgb } = await open.readFrame(level, position, reader);
      return codecs.encode(rgb, { rows, columns, ...output }, reader);
    },
  };
  return { tiles, notes: [] };
}

/** @param density upper limit of glass */
async function readMap(
  open: SlidePixels,
  level: Level,
  density: number,
  signal: AbortSignal,
): Promise<GlassMap> {
  const { content } = level.placement;
  const cells = new GlassCells(sizeOf(open.slide.levels[0]!), sizeOf(level), density);
  const shown = level.frames.filter(({ x, y }) => x < content.columns && y < content.rows);
  await mapAtOnce(framesTogether(level, shown), AT_ONCE, async (positions) => {
    const counts = await open.countGlass(level, positions, cells.search, signal);
    for (const [i, position] of positions.entries()) cells.add(extentOf(level, position), counts[i]!);
  });
  return cells;
}

function sizeOf({ placement: { content } }: Level): { width: number; height: number } {
  return { width: content.columns, height: content.rows };
}

/** Whether tiles of the base level match the map: a small level may be shifted, cropped or retouched. */
async function isTrue(
  map: GlassMap,
  open: SlidePixels,
  dense: number,
  signal: AbortSignal,
): Promise<boolean> {
  const base = open.slide.levels[0]!;
  // In a tile at the edge, the area beyond the slide may contain anything.
  const isGlassFrame = glassFrames(map, base);
  const glass = base.frames.filter((_, frame) => isGlassFrame(frame));
  const probes = evenlySpaced(glass, PROBES);
  let [pixels, denser] = [0, 0];
  const probe = async (position: FramePosition): Promise<void> => {
    const { rgb } = await open.readFrame(base, position, signal);
    const { width, height } = extentOf(base, position);
    pixels += width * height;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) if (densityAt(rgb, y * base.columns + x) > dense) denser++;
  };
  const affordable = Math.max(1, Math.floor(PIXELS_AT_ONCE / (base.rows * base.columns)));
  await mapAtOnce(probes, Math.min(AT_ONCE, affordable), probe);
  return denser <= TOLERATED * pixels;
}
