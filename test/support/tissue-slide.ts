/** A slide of one level with uncompressed frames of tissue beside glass: enough to be normalised. */
import { EXPLICIT_LITTLE_ENDIAN, type SlideInstanceOptions } from './make-slide.ts';
import { type StorableSlide, storableSlide } from './storable.ts';
import { tilesOf } from './tiles.ts';
import { tissue } from './tissue.ts';

const TILE = 128;
const SIDE = 4 * TILE;

/** @param change applied to each frame as RGB, before it is written */
export function tissueSlide(
  name: string,
  options: Partial<SlideInstanceOptions> = {},
  change: (rgb: Uint8Array) => Uint8Array = (rgb) => rgb,
): StorableSlide {
  const whole = tissue(SIDE, SIDE, { part: 0.7 });
  const frames = tilesOf(whole, TILE).map(change);
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
