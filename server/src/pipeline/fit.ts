/**
 * Fits the stain of a slide once: where the tissue is, what the glass looks like, and the class statistics of a sample
 * of tissue windows. Everything later uses these numbers, so no tile differs from its neighbour.
 */

import { type Raster, WHITE } from '../../../core/src/image/raster.ts';
import type { Window } from '../../../core/src/image/windows.ts';
import { noteText } from '../../../core/src/notes.ts';
import { addColours, type ColourSummary, emptySummary } from '../../../core/src/stain/colour-summary.ts';
import { gainOf } from '../../../core/src/stain/linear.ts';
import {
  BLACK_DENSITY,
  densityAt,
  type Glass,
  requireTissue,
  tissueDensity,
} from '../../../core/src/stain/optical-density.ts';
import { judgeStain, type OutOfDistribution } from '../../../core/src/stain/other-stain.ts';
import { type Fade, fadeOf, type Stain } from '../../../core/src/stain/stain.ts';
import {
  addSums,
  classStatistics,
  densityStatistics,
  massOf,
  SUMS_PER_CLASS,
  samplingError,
} from '../../../core/src/stain/statistics.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import { SAMPLE_CORE, sampleOf } from './sample-windows.ts';
import { type Survey, surveyTissue } from './survey.ts';

/** Sampling stops when the estimated error of the mean colours is this small, in optical density. */
const SUFFICIENT = 0.012;
/** A slide is faint if its mean tissue density above the glass is below this. */
const FAINT_DENSITY = 0.2;

export interface Fit extends Stain {
  /** Factor by which the network's input was multiplied for `densities`. */
  readonly gain: number;
  readonly glass: Glass;
  readonly fade: Fade;
  readonly sampledTiles: number;
  /** Number of counted pixels. */
  readonly pixels: number;
  /** Fraction of the surveyed area that is tissue. */
  readonly tissueFraction: number;
  readonly outOfDistribution: OutOfDistribution;
  readonly notes: readonly string[];
}

export interface FitOptions {
  readonly signal: AbortSignal;
  /** The glass is known before the rest, and will not change. */
  readonly onGlass?: (glass: Glass) => void;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * @param base the level that is fitted
 * @param overviews the same slide at the same or lower magnifications, the cheapest to read first
 * @throws TOO_LITTLE_TISSUE when the slide holds too little tissue (slide/optical-density.ts)
 */
export async function fitStain(
  base: PixelSource,
  overviews: readonly PixelSource[],
  network: StainNetwork,
  options: FitOptions,
): Promise<Fit> {
  const { halo, alignment } = network.model;
  const survey = await surveyTissue(
    base,
    overviews,
    { halo, alignment, coreSize: SAMPLE_CORE },
    options.signal,
  );
  const glass = rounded(survey.glass);
  options.onGlass?.(glass);
  const { windows, min, population, ahead } = sampleOf(survey.windows, base, network.model);
  const sums = new Float64Array(network.model.classes * SUMS_PER_CLASS);
  const parts: Float64Array[] = [];
  const seen: Pick<Seen, 'tissue' | 'density'>[] = [];
  const colours = emptySummary();
  let pixels = 0;
  const look = (window: Window): Promise<Seen> => lookAt(base, window, survey, options.signal);
  const first = await Promise.all(windows.slice(0, min).map(look));
  const gain = gainOf(densityOf(first));
  // What is read ahead and not needed is not sent through the network.
  const enough = new AbortController();
  const wanted = AbortSignal.any([options.signal, enough.signal]);
  const measured = windows.map(
    (window, i) => async () => measure(first[i] ?? (await look(window)), gain, network, wanted),
  );
  for await (const found of inOrder(measured, network.concurrency + ahead)) {
    addSums(sums, found.sums);
    parts.push(found.sums);
    pixels += found.pixels;
    seen.push({ tissue: found.tissue, density: found.density });
    for (const [i, weight] of found.colours.entries()) colours[i]! += weight;
    options.onProgress?.(parts.length, windows.length);
    if (parts.length >= min && samplingError(parts, population) <= SUFFICIENT) break;
  }
  enough.abort();
  const tissue = seen.reduce((total, window) => total + window.tissue, 0);
  requireTissue(tissue);
  const aboveGlass = densityOf(seen) - glass.density;
  const classes = classStatistics(sums);
  // The graph does not count foreign colours: whatever its sums lack was foreign.
  const foreign = Math.max(0, 1 - massOf(sums) / pixels) * (pixels / tissue);
  const unlike = judgeStain(colours, survey.white !== undefined, Math.min(1, foreign));
  return rounded({
    classes,
    densities: densityStatistics(sums),
    gain,
    glassDensity: glass.density,
    glass,
    fade: fadeOf(glass.density),
    sampledTiles: parts.length,
    pixels,
    tissueFraction: survey.tissueFraction,
    outOfDistribution: unlike,
    notes: [
      ...unlike.reasons,
      ...(aboveGlass < FAINT_DENSITY ? [noteText('SLIDE_FAINT', { density: aboveGlass })] : []),
    ],
  });
}

/**
 * Rounds to six digits: the rest changes no pixel and differs between processors. When a fit is kept as text, all its
 * digits are kept.
 */
function rounded<T>(value: T): T {
  if (typeof value === 'number') return (Number.isInteger(value) ? value : Number(value.toPrecision(6))) as T;
  if (Array.isArray(value)) return value.map(rounded) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, rounded(one)])) as T;
}

/** A window of the slide before it goes through the network. */
export interface Seen {
  readonly raster: Raster;
  /** 1 where a pixel counts. */
  readonly weight: Uint8Array;
  /** Number of counted pixels, how many of them are tissue, and the sum of their optical densities. */
  readonly pixels: number;
  readonly tissue: number;
  readonly density: number;
  readonly colours: ColourSummary;
}

interface Measured extends Omit<Seen, 'raster' | 'weight'> {
  /** K x 17, from the statistics graph. */
  readonly sums: Float64Array;
}

export async function lookAt(
  base: PixelSource,
  window: Window,
  { glass, white }: Pick<Survey, 'glass' | 'white'>,
  signal: AbortSignal,
): Promise<Seen> {
  const raster = await base.read(window, signal);
  const weight = countedPixels(base, window, raster);
  const minDensity = tissueDensity(glass.density);
  let [pixels, tissue, density] = [0, 0, 0];
  for (let p = 0; p < weight.length; p++) {
    if (!weight[p]) continue;
    pixels++;
    const d = densityAt(raster.rgb, p);
    if (d <= minDensity) continue;
    density += d;
    tissue++;
  }
  const colours = emptySummary();
  const { core } = window;
  const inRaster = { ...core, x: core.x - window.x, y: core.y - window.y };
  addColours(colours, raster, weight, inRaster, white ?? WHITE);
  return { raster, weight, pixels, tissue, density, colours };
}

/** Mean optical density of the tissue in some windows; 0 if they show none. */
export function densityOf(windows: readonly Pick<Seen, 'tissue' | 'density'>[]): number {
  const tissue = windows.reduce((sum, window) => sum + window.tissue, 0);
  return tissue > 0 ? windows.reduce((sum, window) => sum + window.density, 0) / tissue : 0;
}

/** Sends a window through the network, which takes over its pixels. */
export async function measure(
  { raster: { width, height, rgb }, weight, ...seen }: Seen,
  gain: number,
  network: StainNetwork,
  signal: AbortSignal,
): Promise<Measured> {
  return { ...seen, sums: await network.statistics({ tile: rgb, weight, gain, width, height }, signal) };
}

/**
 * Yields results in the order of the tasks, running at most `maxPending` at once. Results after the last one consumed are
 * dropped.
 */
async function* inOrder<T>(tasks: readonly (() => Promise<T>)[], maxPending: number): AsyncGenerator<T> {
  const begun: Promise<T>[] = [];
  for (let i = 0; i < tasks.length; i++) {
    while (begun.length < Math.min(tasks.length, i + maxPending)) {
      const result = tasks[begun.length]!();
      // A failure is reported when the task's turn comes, if it comes.
      result.catch(() => {});
      begun.push(result);
    }
    yield await begun[i]!;
  }
}

/** 1 where a pixel counts: inside the window's core, on a tile of the slide, and not in the black border of a scan. */
function countedPixels(source: PixelSource, window: Window, { width, height, rgb }: Raster): Uint8Array {
  const weight = new Uint8Array(width * height);
  for (const part of source.coverage(window.core)) {
    for (let y = part.y - window.y; y < part.y - window.y + part.height; y++) {
      for (let x = part.x - window.x; x < part.x - window.x + part.width; x++) {
        const pixel = y * width + x;
        if (densityAt(rgb, pixel) < BLACK_DENSITY) weight[pixel] = 1;
      }
    }
  }
  return weight;
}
