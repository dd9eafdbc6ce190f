/**
 * Fits the stain of a slide once: where is tissue, what is the glass like, and the class statistics of a sample
 * of tissue windows. Everything after uses these numbers, so that no tile differs from its neighbour.
 */
import type { StainNetwork } from '../inference/network.ts';
import { evenlySpaced } from '../slide/evenly-spaced.ts';
import {
  BLACK_DENSITY,
  densityAt,
  findGlass,
  findWhite,
  type Glass,
  requireTissue,
  tissueDensity,
} from '../slide/optical-density.ts';
import { memorySource, type PixelSource } from '../slide/pixel-source.ts';
import { type Raster, type Rgb, WHITE } from '../slide/raster.ts';
import { type Window, type WindowGeometry, windowsOf } from '../slide/windows.ts';
import { addColours, type ColourSummary, emptySummary } from '../stain/colour-summary.ts';
import { gainOf } from '../stain/linear.ts';
import { judgeStain, type OutOfDistribution } from '../stain/other-stain.ts';
import { type Fade, fadeOf, type Stain } from '../stain/stain.ts';
import {
  addSums,
  classStatistics,
  densityStatistics,
  massOf,
  SUMS_PER_CLASS,
  samplingError,
} from '../stain/statistics.ts';

/** Core of a sampled window, pixels a side: many small windows know a slide better than few large ones of that area. */
export const SAMPLE_CORE = 256;
/** Windows sampled for the statistics at least and at most, where the slide has as many: 1 to 8 megapixels. */
const MIN_SAMPLES = 16;
const MAX_SAMPLES = 128;
/**
 * Sampling ends when the mean colours are known this well by the estimate, in optical density. On two small slides the
 * true error was 0.004 to 0.010, 1 to 2 grey levels, where it stopped (docs/benchmarks).
 */
const SUFFICIENT = 0.017;
/** A window with less tissue than this is sampled only when there are not enough better ones. */
const GOOD_TISSUE = 0.2;
/** Pixels of the overview that are looked at; a slide without small levels is surveyed in places only. */
const MAX_SURVEY_PIXELS = 16e6;
/** An overview of at most this many pixels is held in memory while it is looked at. */
const SMALL_OVERVIEW = 4e6;
/** Windows that are looked at. */
const MAX_SURVEY_WINDOWS = 20_000;
/** Fewer good windows than this are too few: the richest are taken, good or not. */
const FEW_SAMPLES = 8;
/** Mean density of the tissue above the glass, below which a slide counts as faint. */
const FAINT_DENSITY = 0.2;

export interface Fit extends Stain {
  /** What the network's input was multiplied by for `densities`. */
  readonly gain: number;
  readonly glass: Glass;
  readonly fade: Fade;
  readonly sampledTiles: number;
  /** Counted pixels. */
  readonly pixels: number;
  /** Part of the surveyed area that is tissue. */
  readonly tissueFraction: number;
  readonly outOfDistribution: OutOfDistribution;
  readonly notes: readonly string[];
}

export interface FitOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * @param base the level whose pixels are fitted
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
  const most = network.lanes + 1;
  const first: Seen[] = [];
  for await (const window of inOrder(
    samples.slice(0, MIN_SAMPLES).map((sample) => () => look(sample)),
    most,
  ))
    first.push(window);
  const gain = gainOf(densityOf(first));
  const measured = samples.map(
    (sample, i) => async () => measure(first[i] ?? (await look(sample)), gain, network, options.signal),
  );
  for await (const found of inOrder(measured, most)) {
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
  // The graph counts no foreign colours: what is missing from its sums was one.
  const foreign = Math.max(0, 1 - massOf(sums) / pixels) * (pixels / tissue);
  const unlike = judgeStain(colours, survey.white !== undefined, Math.min(1, foreign));
  return {
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
      ...(aboveGlass < FAINT_DENSITY
        ? [`The slide is faint: its tissue is ${aboveGlass.toFixed(2)} denser than the glass.`]
        : []),
    ],
  };
}

/** A window of the slide, before the network. */
export interface Seen {
  readonly raster: Raster;
  /** 1 where a pixel counts. */
  readonly weight: Uint8Array;
  /** Counted pixels, those of them that are tissue, and the sum of their optical densities. */
  readonly pixels: number;
  readonly tissue: number;
  readonly density: number;
  readonly colours: ColourSummary;
}

interface Measured extends Omit<Seen, 'raster' | 'weight'> {
  /** K x 17, of the statistics graph. */
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
  const least = tissueDensity(glass.density);
  let [pixels, tissue, density] = [0, 0, 0];
  for (let p = 0; p < weight.length; p++) {
    if (!weight[p]) continue;
    pixels++;
    const d = densityAt(raster.rgb, p);
    if (d <= least) continue;
    density += d;
    tissue++;
  }
  const colours = emptySummary();
  const { core } = window;
  const inRaster = { ...core, x: core.x - window.x, y: core.y - window.y };
  addColours(colours, raster, weight, inRaster, white ?? WHITE);
  return { raster, weight, pixels, tissue, density, colours };
}

/** Mean optical density of the tissue of some windows; 0 where they show none. */
export function densityOf(windows: readonly Pick<Seen, 'tissue' | 'density'>[]): number {
  const tissue = windows.reduce((sum, window) => sum + window.tissue, 0);
  return tissue > 0 ? windows.reduce((sum, window) => sum + window.density, 0) / tissue : 0;
}

/** A window through the network, which takes its pixels. */
export async function measure(
  { raster: { width, height, rgb }, weight, ...seen }: Seen,
  gain: number,
  network: StainNetwork,
  signal: AbortSignal,
): Promise<Measured> {
  return { ...seen, sums: await network.statistics({ tile: rgb, weight, gain, width, height }, signal) };
}

/** Results in the order of the tasks, of which `most` are under way: results after the last one used are dropped. */
async function* inOrder<T>(tasks: readonly (() => Promise<T>)[], most: number): AsyncGenerator<T> {
  const begun: Promise<T>[] = [];
  for (let i = 0; i < tasks.length; i++) {
    while (begun.length < Math.min(tasks.length, i + most)) {
      const result = tasks[begun.length]!();
      // A failure is met when the task's turn comes, if it comes.
      result.catch(() => {});
      begun.push(result);
    }
    yield await begun[i]!;
  }
}

export interface SurveyedWindow {
  readonly window: Window;
  /** Part of the window's core that is tissue. */
  readonly tissue: number;
}

export interface Survey {
  readonly windows: readonly SurveyedWindow[];
  readonly glass: Glass;
  /** Colour of the light; undefined where it cannot be told. */
  readonly white: Rgb | undefined;
  readonly tissueFraction: number;
}

/**
 * Where the tissue of a slide is, by windows of the base level, and what its glass is like. A level that is black or blank
 * shows no tissue where others do: the next one is looked at before that is believed.
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
  // Read at once: its frames may be far away.
  const seen =
    width * height <= SMALL_OVERVIEW
      ? memorySource(await overview.read({ x: 0, y: 0, width, height }, signal))
      : overview;
  const views: { window: Window; raster: Raster }[] = [];
  for (const window of evenlySpaced(all, count)) {
    if (base.coverage(window.core).length === 0) continue;
    views.push({ window, raster: await seen.read(scaled(window, base, overview), signal) });
  }
  const rasters = views.map(({ raster }) => raster);
  const [glass, white] = [findGlass(rasters), findWhite(rasters)];
  const windows = views.map(({ window, raster }) => ({ window, tissue: tissueFraction(raster, glass) }));
  const mean = windows.reduce((sum, { tissue }) => sum + tissue, 0) / Math.max(1, windows.length);
  return { windows, glass, white, tissueFraction: mean };
}

/** The core of a window in the coordinates of the overview, at least one pixel large. */
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
  const least = tissueDensity(glass.density);
  let tissue = 0;
  for (let i = 0; i < rgb.length / 3; i++) {
    const density = densityAt(rgb, i);
    if (density > least && density < BLACK_DENSITY) tissue++;
  }
  return tissue / (rgb.length / 3);
}

/**
 * Windows rich in tissue, in an order of which every beginning is spread over the slide; the richest ones where there
 * are too few. At most `most`. @throws TOO_LITTLE_TISSUE where there is none at all
 */
export function chooseSamples(windows: readonly SurveyedWindow[], most: number): SurveyedWindow[] {
  const good = windows.filter(isGood);
  if (good.length >= FEW_SAMPLES) return spreadOut(evenlySpaced(good, most));
  const richest = windows.filter(({ tissue }) => tissue > 0).sort((a, b) => b.tissue - a.tissue);
  if (richest.length === 0) requireTissue(0);
  return richest.slice(0, FEW_SAMPLES);
}

const isGood = ({ tissue }: SurveyedWindow): boolean => tissue >= GOOD_TISSUE;

/** Windows that could be sampled. */
const available = ({ windows }: Survey): number => windows.filter(isGood).length;

/** The items in the order of their reversed bits (van der Corput): halves, then quarters, then eighths. */
function spreadOut<T>(items: readonly T[]): T[] {
  const bits = Math.ceil(Math.log2(Math.max(2, items.length)));
  const reversed = (i: number): number =>
    Number.parseInt(i.toString(2).padStart(bits, '0').split('').reverse().join(''), 2);
  return Array.from({ length: 2 ** bits }, (_, i) => items[reversed(i)]).filter((item) => item !== undefined);
}

/** 1 where a pixel counts: in the window's core, on a tile of the slide, and not the black rim of a scan. */
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
