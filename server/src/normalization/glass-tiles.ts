/** The tiles of a slide that are glass, and how they come into the result: as they are stored, where that is possible. */
import type { CodecPool } from '../codec/codec-pool.ts';
import type { EncodeOptions } from '../codec/encode-frame.ts';
import { isYcbcrBaseline } from '../codec/jpeg.ts';
import { readGlassMap } from '../slide/glass-map.ts';
import { BLACK, WHITE } from '../slide/raster.ts';
import type { GlassTiles } from './build-levels.ts';
import type { OpenSeries } from './open-series.ts';

const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';

/**
 * undefined where the slide has no small level to look at: then every tile is decoded.
 *
 * A stored frame is passed through where the result has its encoding and its colours: JPEG baseline in YCbCr, and no
 * ICC profile to be applied. Any other is decoded and encoded, without the network.
 *
 * @param fade optical densities of the transfer: nothing up to the first is changed by it
 */
export async function findGlassTiles(
  open: OpenSeries,
  fade: readonly [number, number],
  output: Pick<EncodeOptions, 'encoding' | 'quality'>,
  codecs: CodecPool,
  signal: AbortSignal,
): Promise<GlassTiles | undefined> {
  // Where the small level has no tile the base may have one: that counts as dense.
  const view = open.glassView(BLACK);
  if (!view) return undefined;
  const { width, height } = open.base(WHITE);
  return {
    map: await readGlassMap({ width, height }, view, fade[0], signal),
    pixels: open.readFrame,
    async frame(level, position) {
      if (output.encoding === 'jpeg' && !open.colour.table) {
        const { transferSyntaxUid, bytes } = await open.storedFrame(level, position);
        if (transferSyntaxUid === JPEG_BASELINE && isYcbcrBaseline(bytes)) return bytes;
      }
      const { rows, columns } = level;
      const { rgb } = await open.readFrame(level, position);
      return codecs.encode(rgb, { rows, columns, ...output }, signal);
    },
  };
}
