/**
 * Fits the stain of a slide once: where the tissue is, what the glass looks like, and the class statistics of a sample
 * of tissue windows. Everything later uses these numbers, so no tile differs from its neighbour.
 */

import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import { type Raster, type Rgb, WHITE } from '../../../core/src/image/raster.ts';
import { type Window, type WindowGeometry, windowsOf } from '../../../core/src/image/windows.ts';
import { noteText } from '../../../core/src/notes.ts';
import { addColours, type ColourSummary, emptySummary } from '../../../core/src/stain/colour-summary.ts';
import { gainOf } from '../../../core/src/stain/linear.ts';
import {
  BLACK_DENSITY,
  BrightPixels,
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
import { memorySource, type PixelSource } from '../slide/pixel-source.ts';

/**
 * Core of a sampled window, in pixels a side: for the same area, many small windows describe a slide better than few
 * large ones.
 */
export const SAMPLE_CORE = 256;
/** Minimum and maximum number of windows sampled for the statistics, if the slide has that many: 1 to 8 megapixels. */
const MIN_SAMPLES = 16;
const MAX_SAMPLES = 128;
/**
 * Sampling stops when the estimated error of the mean colours is this small, in optical density. On two small slides
 * the true error was then 0.004 to 0.010, that is 1 to 2 grey levels (docs/benchmarks).
 */
const SUFFICIENT = 0.017;
/** A window with less tissue than this is sampled only if there are too few better ones. */
const GOOD_TISSUE = 0.2;
/** Maximum number of overview pixels to survey; a slide without small levels is surveyed only in places. */
const MAX_SURVEY_PIXELS = 16e6;
/** An overview up to this size, in pixels, is held in memory during the survey. */
const SMALL_OVERVIEW = 4e6;
/** Maximum number of windows to survey. */
const MAX_SURVEY_WINDOWS = 20_000;
/** With fewer good windows than this, the windows with the most tissue are used, good or not. */
const FEW_SAMPLES = 8;
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
  const samples = chooseSamples(survey.windows, MAX_SAMPLES);
  const sums = new Float64Array(network.model.classes * SUMS_PER_CLASS);
  const parts: Float64Array[] = [];
  const seen: Pick<Seen, 'tissue' | 'density'>[] = [];
  const colours = emptySummary();
  let pixels = 0;
  const look = ({ window }: SurveyedWindow): Promise<Seen> => lookAt(base, window, survey, options.signal);
  const maxPending = network.concurrency + 1;
  const first: Seen[] = [];
  for await (const window of inOrder(
    samples.slice(0, MIN_SAMPLES).map((sample) => () => look(sample)),
    MIN_SAMPLES,
  ))
    first.push(window);
  const gain = gainOf(densityOf(first));
  const measured = samples.map(
    (sample, i) => async () => measure(first[i] ?? (await look(sample)), gain, network, options.signal),
  );
  for await (const found of inOrder(measured, maxPending)) {
    addSums(sums, found.sums);
    parts.push(found.sums);
    pixels += found.pixels;
    seen.push({ tissue: found.tissue, density: found.density });
    for (const [i, weight] of found.colours.entries()) colours[i]! += weight;
    options.onProgress?.(parts.length, samples.length);
    if (parts.length >= MIN_SAMPLES && samplingError(parts, available(survey)) <= SUFFICIENT) break;
  }
  const tissue = seen.reduce((total, window) => total + window.tissue, 0);
  requireTissue(tissue);
  const aboveGlass = densityOf(seen) - survey.glass.density;
  const classes = classStatistics(sums);
  // The graph does not count foreign colours: whatever its sums lack was foreign.
  const foreign = Math.max(0, 1 - massOf(sums) / pixels) * (pixels / tissue);
  const unlike = judgeStain(colours, survey.white !== undefined, Math.min(1, foreign));
  return rounded({
    classes,
    densities: densityStatistics(sums),
    gain,
    glassDensity: survey.glass.density,
    glass: survey.glass,
    fade: fadeOf(survey.glass.density),
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

export interface SurveyedWindow {
  readonly window: Window;
  /** Fraction of the window's core that is tissue. */
  readonly tissue: number;
}

export interface Survey {
  readonly windows: readonly SurveyedWindow[];
  readonly glass: Glass;
  /** Colour of the light; undefined if it cannot be determined. */
  readonly white: Rgb | undefined;
  readonly tissueFraction: number;
}

/**
 * Finds the tissue of a slide, by windows of the base level, and the colour of its glass. A level that is black or
 * blank shows no tissue although others do, so the next level is surveyed before the slide counts as empty.
 */
export async function surveyTissue(
  base: PixelSource,
  overviews: readonly PixelSource[],
  geometry: WindowGeometry,
  signal: AbortSignal,
): Promise<Survey> {
  for (const overview of overviews.slice(0, -1)) {
    const survey = await surveyOn(overview, base, geometry, signal);
    if (survey.tissueFraction > 0) return survey;
  }
  return surveyOn(overviews.at(-1)!, base, geometry, signal);
}

async function surveyOn(
  overview: PixelSource,
  base: PixelSource,
  geometry: WindowGeometry,
  signal: AbortSignal,
): Promise<Survey> {
  const all = [...windowsOf(base.width, base.height, geometry)];
  const reduction = (overview.width * overview.height) / (base.width * base.height);
  const affordable = Math.max(1, Math.floor(MAX_SURVEY_PIXELS / (geometry.coreSize ** 2 * reduction)));
  const count = Math.min(affordable, MAX_SURVEY_WINDOWS);
  const { width, height } = overview;
  // Read all at once, because the frames may be far away.
  const seen =
    width * height <= SMALL_OVERVIEW
      ? memorySource(await overview.read({ x: 0, y: 0, width, height }, signal))
      : overview;
  const chosen = evenlySpaced(all, count).filter(({ core }) => base.coverage(core).length > 0);
  const views: { window: Window; raster: Raster }[] = [];
  const bright = new BrightPixels();
  const view = async (window: Window): Promise<(typeof views)[number]> => {
    const raster = await seen.read(scaled(window, base, overview), signal);
    bright.add(raster);
    return { window, raster };
  };
  // A row at a time, for the same reason.
  for (const row of Map.groupBy(chosen, ({ core }) => core.y).values())
    views.push(...(await Promise.all(row.map(view))));
  const [glass, white] = [bright.glass(), bright.white()];
  const windows = views.map(({ window, raster }) => ({ window, tissue: tissueFraction(raster, glass) }));
  const mean = windows.reduce((sum, { tissue }) => sum + tissue, 0) / Math.max(1, windows.length);
  return { windows, glass, white, tissueFraction: mean };
}

/** The core of a window in the coordinates of the overview, at least one pixel in size. */
function scaled(
  { core }: Window,
  base: PixelSource,
  overview: PixelSource,
): { x: number; y: number; width: number; height: number } {
  const [sx, sy] = [overview.width / base.width, overview.height / base.height];
  const x = Math.min(overview.width - 1, Math.floor(core.x * sx));
  const y = Math.min(overview.height - 1, Math.floor(core.y * sy));
  return {
    x,
    y,
    width: Math.max(1, Math.min(overview.width - x, Math.round(core.width * sx))),
    height: Math.max(1, Math.min(overview.height - y, Math.round(core.height * sy))),
  };
}

function tissueFraction({ rgb }: Raster, glass: Glass): number {
  const minDensity = tissueDensity(glass.density);
  let tissue = 0;
  for (let i = 0; i < rgb.length / 3; i++) {
    const density = densityAt(rgb, i);
    if (density > minDensity && density < BLACK_DENSITY) tissue++;
  }
  return tissue / (rgb.length / 3);
}

/**
 * Chooses windows with much tissue, at most `maxPending`, ordered so that every prefix is spread over the slide. If there are
 * too few good ones, the richest are used.
 * @throws TOO_LITTLE_TISSUE if there is no tissue at all
 */
export function chooseSamples(windows: readonly SurveyedWindow[], maxPending: number): SurveyedWindow[] {
  const good = windows.filter(isGood);
  if (good.length >= FEW_SAMPLES) return spreadOut(evenlySpaced(good, maxPending));
  const richest = windows.filter(({ tissue }) => tissue > 0).sort((a, b) => b.tissue - a.tissue);
  if (richest.length === 0) requireTissue(0);
  return richest.slice(0, FEW_SAMPLES);
}

const isGood = ({ tissue }: SurveyedWindow): boolean => tissue >= GOOD_TISSUE;

/** Number of windows that could be sampled. */
const available = ({ windows }: Survey): number => windows.filter(isGood).length;

/** Orders the items by their bit-reversed index (van der Corput): halves, then quarters, then eighths. */
function spreadOut<T>(items: readonly T[]): T[] {
  const bits = Math.ceil(Math.log2(Math.max(2, items.length)));
  const reversed = (i: number): number =>
    Number.parseInt(i.toString(2).padStart(bits, '0').split('').reverse().join(''), 2);
  return Array.from({ length: 2 ** bits }, (_, i) => items[reversed(i)]).filter((item) => item !== undefined);
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
