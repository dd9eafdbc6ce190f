/** The colour of one pixel or of many, in the terms in which stains are compared. */
import { type Lab, labOf } from './ciede2000.ts';
import { opticalDensity } from './optical-density.ts';
import { stainAmounts } from './stain-amounts.ts';

/** Mean and standard deviation over the pixels; the deviation of a single pixel is 0. */
export interface Spread {
  readonly mean: number;
  readonly sd: number;
}

type Spreads = readonly [Spread, Spread, Spread];

export interface ColourReading {
  readonly pixels: number;
  /** sRGB, 0 to 255. */
  readonly rgb: Spreads;
  /** Optical density of R, G, B, natural logarithm. */
  readonly density: Spreads;
  /** CIELAB under D65: L*, a*, b*. */
  readonly lab: Spreads;
  /** Amounts of both stains (stain-amounts.ts). */
  readonly haematoxylin: Spread;
  readonly eosin: Spread;
}

/** @param rgb 8-bit sRGB, interleaved, at least one pixel */
export function readColours(rgb: Uint8Array): ColourReading {
  const rows: number[][] = [];
  for (let at = 0; at + 2 < rgb.length; at += 3) {
    const [r, g, b] = [rgb[at]!, rgb[at + 1]!, rgb[at + 2]!];
    const density = [opticalDensity(r), opticalDensity(g), opticalDensity(b)] as const;
    const { haematoxylin, eosin } = stainAmounts(density);
    rows.push([r, g, b, ...density, ...labOf(r, g, b), haematoxylin, eosin]);
  }
  const spreads = rows[0]!.map((_, column) => spreadOf(rows.map((row) => row[column]!)));
  const three = (from: number): Spreads => [spreads[from]!, spreads[from + 1]!, spreads[from + 2]!];
  return {
    pixels: rows.length,
    rgb: three(0),
    density: three(3),
    lab: three(6),
    haematoxylin: spreads[9]!,
    eosin: spreads[10]!,
  };
}

/** The mean colour in CIELAB, to compare with another. */
export function meanLab({ lab }: ColourReading): Lab {
  return [lab[0].mean, lab[1].mean, lab[2].mean];
}

function spreadOf(values: readonly number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, sd: Math.sqrt(variance) };
}
