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

/**
 * Finds the glass of a slide in images of it at any magnification: the most frequent density among the bright, grey
 * pixels. Scanners fill areas without a scan with pure white, which is not the glass: a narrow peak beside the white is
 * preferred. At least 1 % of the pixels must be like that; otherwise there is no visible glass, and it counts as white.
 */
export function findGlass(rasters: Iterable<Raster>): Glass {
  const bins = emptyBins();
  let pixels = 0;
  for (const { rgb } of rasters) {
    pixels += rgb.length / 3;
    for (let i = 0; i < rgb.length / 3; i++) {
      const bin = bins[Math.floor(densityAt(rgb, i) / BIN_WIDTH)];
      const [r, g, b] = [rgb[i * 3]!, rgb[i * 3 + 1]!, rgb[i * 3 + 2]!];
      if (!bin || Math.max(r, g, b) - Math.min(r, g, b) > GREATEST_TINT) continue;
      addTo(bin, 1, r, g, b);
    }
  }
  const counts = bins.map(({ count }) => count);
  const bright = sum(counts);
  if (bright === 0 || bright < pixels * 0.01) return { density: 0, colour: WHITE };
  const besideWhite = indexOfLargest(counts, 1);
  const peak = sum(counts.slice(Math.max(1, besideWhite - 1), besideWhite + 2));
  const mode = peak > GLASS_PEAK * (bright - counts[0]!) ? besideWhite : indexOfLargest(counts, 0);
  const { count, r, g, b } = bins[mode]!;
  return {
    density: (mode + 0.5) * BIN_WIDTH,
    colour: [Math.round(r / count), Math.round(g / count), Math.round(b / count)],
  };
}

/** Width of a bin in optical density. */
const BIN_WIDTH = 0.005;

/** Pixels of one density, and the sums of their grey levels. */
interface Bin {
  count: number;
  r: number;
  g: number;
  b: number;
}

function emptyBins(): Bin[] {
  return Array.from({ length: Math.ceil(DENSEST_GLASS / BIN_WIDTH) }, () => ({ count: 0, r: 0, g: 0, b: 0 }));
}

/** Takes numbers, not a bin: there are millions of pixels. */
function addTo(bin: Bin, count: number, r: number, g: number, b: number): void {
  bin.count += count;
  bin.r += r;
  bin.g += g;
  bin.b += b;
}

/** Fraction of the brightest pixels, without pure white ones, that counts as the light. */
const WHITE_SHARE = 0.005;

/**
 * The colour of the light, to which colours are relative: the brightest pixels, except the pure white with which
 * scanners fill areas. Glass, the most frequent bright colour, may be pale tissue in a picture without much glass; this
 * is not.
 * @returns red, green and blue, not rounded; undefined if they are too dark or differ too much, and so show tissue or a
 * lamp
 */
export function findWhite(rasters: Iterable<Raster>): Rgb | undefined {
  const bins = emptyBins();
  let pixels = 0;
  for (const { rgb } of rasters)
    for (let i = 0; i < rgb.length / 3; i++) {
      const [r, g, b] = [rgb[i * 3]!, rgb[i * 3 + 1]!, rgb[i * 3 + 2]!];
      if (Math.min(r, g, b) === 255) continue;
      pixels++;
      const bin = bins[Math.floor(densityAt(rgb, i) / BIN_WIDTH)];
      if (!bin) continue;
      addTo(bin, 1, r, g, b);
    }
  const found = { count: 0, r: 0, g: 0, b: 0 };
  for (const bin of bins) {
    addTo(found, bin.count, bin.r, bin.g, bin.b);
    if (found.count >= Math.max(1, WHITE_SHARE * pixels)) {
      const white = [found.r / found.count, found.g / found.count, found.b / found.count] as const;
      return Math.max(...white) - Math.min(...white) > GREATEST_TINT ? undefined : white;
    }
  }
  return undefined;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function indexOfLargest(values: readonly number[], from: number): number {
  let best = from;
  for (let i = from + 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
