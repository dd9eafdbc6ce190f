/** A slide of one level with uncompressed frames of tissue beside glass: enough to be normalised. */
import { blankRaster, copyOverlap } from '../../server/src/slide/raster.ts';
import { EXPLICIT_LITTLE_ENDIAN, type SlideInstanceOptions } from './make-slide.ts';
import { type StorableSlide, storableSlide } from './storable.ts';
import { tissue } from './tissue.ts';

const TILE = 128;
const SIDE = 4 * TILE;

/** @param change of a frame as RGB, before it is written */
export function tissueSlide(
  name: string,
  options: Partial<SlideInstanceOptions> = {},
  change: (rgb: Uint8Array) => Uint8Array = (rgb) => rgb,
): StorableSlide {
  const whole = tissue(SIDE, SIDE, { part: 0.7 });
  const frames = Array.from({ length: (SIDE / TILE) ** 2 }, (_, i) => {
    const tile = blankRaster(TILE, TILE);
    const at = { x: (i % (SIDE / TILE)) * TILE, y: Math.floor(i / (SIDE / TILE)) * TILE };
    copyOverlap(whole, { x: 0, y: 0 }, tile, at);
    return change(tile.rgb);
  });
  return storableSlide(name, {
    rows: TILE,
    columns: TILE,
    totalRows: SIDE,
    totalColumns: SIDE,
    frames,
    transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
    photometricInterpretation: 'RGB',
    ...options,
  });
}
