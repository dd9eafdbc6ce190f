/** The tiles of a slide that are glass, and how they come into the result: as they are stored, where that is possible. */
import type { CodecPool } from '../codec/codec-pool.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import { asYbrFull422 } from '../codec/jpeg.ts';
import { evenlySpaced } from '../slide/evenly-spaced.ts';
import { type GlassMap, readGlassMap } from '../slide/glass-map.ts';
import { densityAt } from '../slide/optical-density.ts';
import { extentOf } from '../slide/placement.ts';
import { BLACK, type Rgb } from '../slide/raster.ts';
import type { Fade } from '../stain/stain.ts';
import type { GlassTiles } from './build-levels.ts';
import type { OpenSeries } from './open-series.ts';

const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
/** Tiles of the base level that the map calls glass and that are looked at themselves, evenly spread. */
const PROBES = 32;
/** Part of their pixels that may be as dense as tissue: specks that the small level does not show. */
const TOLERATED = 0.001;

export interface FoundGlass {
  /** undefined where the slide has no small level to look at, or one that is not like its base level. */
  readonly tiles: GlassTiles | undefined;
  readonly notes: readonly string[];
}

/**
 * A stored frame is passed through where the result has its encoding and its colours: JPEG baseline in YCbCr, and no
 * ICC profile to be applied. Any other is decoded and encoded, without the network.
 *
 * @param fade of the transfer: what is not denser than its lower end is glass
 * @param absent colour where the slide has no tile
 */
export async function findGlassTiles(
  open: OpenSeries,
  fade: Fade,
  absent: Rgb,
  output: Pick<EncodeOptions, 'encoding' | 'quality'>,
  codecs: CodecPool,
  signal: AbortSignal,
): Promise<FoundGlass> {
  // Where the small level has no tile the base may have one: that counts as dense.
  const view = open.glassView(BLACK);
  if (!view) return { tiles: undefined, notes: [] };
  const { width, height } = open.base(absent);
  const map = await readGlassMap({ width, height }, view, fade.low, signal);
  if (!(await isTrue(map, open, fade.high, signal)))
    return {
      tiles: undefined,
      notes: [
        'A small level of the slide shows glass where its base level has tissue: every tile was looked at.',
      ],
    };
  const tiles: GlassTiles = {
    map,
    absent,
    pixels: open.readFrame,
    async frame(level, position) {
      if (output.encoding === 'jpeg' && !open.colour.table) {
        const { format, bytes } = await open.storedFrame(level, position);
        const passed = format.transferSyntaxUid === JPEG_BASELINE ? asYbrFull422(bytes, format) : undefined;
        if (passed) return passed;
      }
      const { rows, columns } = level;
      const { rgb } = await open.readFrame(level, position);
      return codecs.encode(rgb, { rows, columns, ...output }, signal);
    },
  };
  return { tiles, notes: [] };
}

/** Whether tiles of the base level are what the map says: levels may be shifted, cropped or retouched. */
async function isTrue(map: GlassMap, open: OpenSeries, dense: number, signal: AbortSignal): Promise<boolean> {
  const base = open.slide.levels[0]!;
  // What lies beyond the slide in a tile at its edge is anything.
  const glass = base.frames.filter((position) => map.isGlass(extentOf(base, position)));
  const probes = evenlySpaced(glass, PROBES);
  let [pixels, denser] = [0, 0];
  for (const position of probes) {
    signal.throwIfAborted();
    const { rgb } = await open.readFrame(base, position);
    const { width, height } = extentOf(base, position);
    pixels += width * height;
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++) if (densityAt(rgb, y * base.columns + x) > dense) denser++;
  }
  return denser <= TOLERATED * pixels;
}
