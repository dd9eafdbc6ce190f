/** The same tissue with its stains weaker or stronger, or under other light: a drift whose size is known. */
import { opticalDensity } from '../../core/src/stain/optical-density.ts';
import { EOSIN, HAEMATOXYLIN, stainAmounts } from '../../core/src/stain/stain-amounts.ts';

export interface Cast {
  /** Factors on the amounts of both stains. */
  readonly haematoxylin?: number;
  readonly eosin?: number;
  /** Level of white in R, G, B, 0 to 1. */
  readonly white?: readonly [number, number, number];
}

type Triple = [number, number, number];

/** @param density optical density of R, G, B */
export function castDensity(
  density: Readonly<Triple>,
  { haematoxylin = 1, eosin = 1, white = [1, 1, 1] }: Cast,
): Triple {
  const amounts = stainAmounts(density);
  const [h, e] = [(haematoxylin - 1) * amounts.haematoxylin, (eosin - 1) * amounts.eosin];
  return density.map((value, c) =>
    Math.max(0, value + h * HAEMATOXYLIN[c]! + e * EOSIN[c]! - Math.log(white[c]!)),
  ) as Triple;
}

/** @param rgb 8-bit sRGB, interleaved */
export function castPixels(rgb: Uint8Array, cast: Cast): Uint8Array {
  const moved = new Uint8Array(rgb.length);
  for (let at = 0; at < rgb.length; at += 3) {
    const density: Triple = [0, 1, 2].map((c) => opticalDensity(rgb[at + c]!)) as Triple;
    const values = castDensity(density, cast);
    for (let c = 0; c < 3; c++) moved[at + c] = Math.round(255 * Math.exp(-values[c]!));
  }
  return moved;
}
