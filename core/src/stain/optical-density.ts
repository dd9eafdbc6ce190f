/** Optical density without the network: where the tissue is, and what the glass looks like. OD = -ln(value / 255). */
import { StainError } from '../errors.ts';
import { type Raster, type Rgb, WHITE } from '../image/raster.ts';

/** Optical density of an 8-bit value; 0 counts as half a grey level so that the logarithm stays finite. */
const DENSITY = Float64Array.from({ length: 256 }, (_, value) => -Math.log(Math.max(value, 0.5) / 255));

/** Optical density of an 8-bit value. */
export function opticalDensity(value: number): number {
  return DENSITY[value]!;
}

/** Anything darker is not transmitted light: the black border of a scan, not tissue. */
export const BLACK_DENSITY = 2.5;

/** Tissue is at least this much denser than the empty glass. */
export const TISSUE_ABOVE_GLASS = 0.08;

/** The optical density from which on a pixel counts as stained tissue, on glass of `glassDensity`. */
export function tissueDensity(glassDensity: number): number {
  return glassDensity + TISSUE_ABOVE_GLASS;
}

/** Upper limit for glass; a slide whose brightest part is denser is under-exposed or has no glass. */
const DENSEST_GLASS = 0.25;

/** D of pixel i: mean optical density over the three channels. */
export function densityAt(rgb: Uint8Array, pixel: number): number {
  const at = pixel * 3;
  return (DENSITY[rgb[at]!]! + DENSITY[rgb[at + 1]!]! + DENSITY[rgb[at + 2]!]!) / 3;
}

/** True if no pixel is denser than `density`: with the fade at that density, the network would change nothing. */
export function isNowhereDenser(raster: Raster, density: number): boolean {
  const { rgb } = raster;
  const bound = 3 * density;
  for (let at = 0; at < rgb.length; at += 3)
    if (DENSITY[rgb[at]!]! + DENSITY[rgb[at + 1]!]! + DENSITY[rgb[at + 2]!]! > bound) return false;
  return true;
}

/** Fewer tissue pixels than this (a square of 32 x 32 at the base level) cannot carry K Gaussians in 3 channels. */
const MINIMUM_TISSUE_PIXELS = 1024;

/** @throws TOO_LITTLE_TISSUE */
export function requireTissue(pixels: number): void {
  if (pixels < MINIMUM_TISSUE_PIXELS)
    throw new StainError(
      'TOO_LITTLE_TISSUE',
      `Only ${pixels} pixels of stained tissue were found; ${MINIMUM_TISSUE_PIXELS} are needed.`,
      {
        data: { tissuePixels: pixels, minimum: MINIMUM_TISSUE_PIXELS },
      },
    );
}

export interface Glass {
  /** Mode of D over the bright pixels; 0 if the image shows no glass. */
  readonly density: number;
  /** Colour of the glass, for areas without tiles. White if there is no glass. */
  readonly colour: Rgb;
}

/** Glass is grey: its channels differ by at most this many grey levels. Those of pale pink tissue differ by more. */
const GREATEST_TINT = 20;

/** Share of the bright pixels that a peak must have to count as glass rather than the pale end of the tissue. */
const GLASS_PEAK = 0.4;

/** Width of a bin in optical density. */
const BIN_WIDTH = 0.005;
const BINS = Math.ceil(DENSEST_GLASS / BIN_WIDTH);
/** A pixel whose three densities add up to more is in no bin; one bin beyond the last, so that rounding loses none. */
const BEYOND_BINS = 3 * (DENSEST_GLASS + BIN_WIDTH);

/** Fraction of the brightest pixels, without pure white ones, that counts as the light. */
const WHITE_SHARE = 0.005;

/**
 * The bright pixels of a slide, from images of it at any magnification: what its glass and its light look like. Images
 * are added one by one, so a slide is summarised as it is read.
 */
export class BrightPixels {
  /** Per bin: number of pixels and sums of their grey levels. Grey pixels, then tinted ones. */
  readonly #bins = new Float64Array(2 * BINS * 4);
  #pixels = 0;
  #pureWhite = 0;

  add({ rgb }: Raster): this {
    const bins = this.#bins;
    let pureWhite = 0;
    for (let i = 0; i < rgb.length; i += 3) {
      const [r, g, b] = [rgb[i]!, rgb[i + 1]!, rgb[i + 2]!];
      const density = DENSITY[r]! + DENSITY[g]! + DENSITY[b]!;
      if (density > BEYOND_BINS) continue;
      const bin = Math.floor(density / 3 / BIN_WIDTH);
      if (bin >= BINS) continue;
      const darkest = Math.min(r, g, b);
      if (darkest === 255) pureWhite++;
      const at = Math.max(r, g, b) - darkest > GREATEST_TINT ? (BINS + bin) * 4 : bin * 4;
      bins[at]! += 1;
      bins[at + 1]! += r;
      bins[at + 2]! += g;
      bins[at + 3]! += b;
    }
    this.#pixels += rgb.length / 3;
    this.#pureWhite += pureWhite;
    return this;
  }

  /**
   * The glass: the most frequent density among the bright, grey pixels. Scanners fill areas without a scan with pure
   * white, which is not the glass: a narrow peak beside the white is preferred. At least 1 % of the pixels must be like
   * that; otherwise there is no visible glass, and it counts as white.
   */
  glass(): Glass {
    const counts = Array.from({ length: BINS }, (_, bin) => this.#bins[bin * 4]!);
    const bright = sum(counts);
    if (bright === 0 || bright < this.#pixels * 0.01) return { density: 0, colour: WHITE };
    const besideWhite = indexOfLargest(counts, 1);
    const peak = sum(counts.slice(Math.max(1, besideWhite - 1), besideWhite + 2));
    const mode = peak > GLASS_PEAK * (bright - counts[0]!) ? besideWhite : indexOfLargest(counts, 0);
    const mean = (channel: number): number =>
      Math.round(this.#bins[mode * 4 + 1 + channel]! / this.#bins[mode * 4]!);
    return { density: (mode + 0.5) * BIN_WIDTH, colour: [mean(0), mean(1), mean(2)] };
  }

  /**
   * The colour of the light, to which colours are relative: the brightest pixels, except the pure white with which
   * scanners fill areas. Glass, the most frequent bright colour, may be pale tissue in a picture without much glass; this
   * is not.
   * @returns red, green and blue, not rounded; undefined if they are too dark or differ too much, and so show tissue or a
   * lamp
   */
  white(): Rgb | undefined {
    const enough = Math.max(1, WHITE_SHARE * (this.#pixels - this.#pureWhite));
    const found = [-this.#pureWhite, ...WHITE.map((level) => -level * this.#pureWhite)];
    for (let bin = 0; bin < BINS; bin++) {
      for (const at of [bin * 4, (BINS + bin) * 4])
        for (let i = 0; i < found.length; i++) found[i]! += this.#bins[at + i]!;
      const [count, r, g, b] = found as [number, number, number, number];
      if (count < enough) continue;
      const white = [r / count, g / count, b / count] as const;
      return Math.max(...white) - Math.min(...white) > GREATEST_TINT ? undefined : white;
    }
    return undefined;
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function indexOfLargest(values: readonly number[], from: number): number {
  let best = from;
  for (let i = from + 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
