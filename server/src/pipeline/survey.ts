/** Surveys a slide on one of its small levels: where its tissue is, and what its glass looks like. */
import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import type { Raster, Rgb } from '../../../core/src/image/raster.ts';
import { type Window, type WindowGeometry, windowsOf } from '../../../core/src/image/windows.ts';
import {
  BLACK_DENSITY,
  BrightPixels,
  densityAt,
  type Glass,
  tissueDensity,
} from '../../../core/src/stain/optical-density.ts';
import { memorySource, type PixelSource } from '../slide/pixel-source.ts';

/** Maximum number of overview pixels to survey; a slide without small levels is surveyed only in places. */
const MAX_SURVEY_PIXELS = 16e6;
/** An overview up to this size, in pixels, is held in memory during the survey. */
const SMALL_OVERVIEW = 4e6;
/** Maximum number of windows to survey. */
const MAX_SURVEY_WINDOWS = 20_000;

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
