/**
 * Fits a slide as a job would, normalises what it looks at in memory, and fits that again: so the figures after the
 * normalisation are measured on pixels, not computed from what was asked for. Nothing is stored.
 */
import { isResumable, type StainError, toStainError } from '../../../core/src/errors.ts';
import { WHITE } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { TemplateVersion } from '../../../core/src/stain/template.ts';
import { makeTransfer } from '../../../core/src/stain/transfer.ts';
import type { TransferName } from '../../../core/src/stain/transfer-name.ts';
import { sheetJpeg } from '../codec/image-file.ts';
import type { StainNetwork } from '../inference/network.ts';
import { fitStain } from '../pipeline/fit.ts';
import type { SeriesAccess } from '../pipeline/inspect-series.ts';
import { openRemoteSeries, type RemoteSeries } from '../pipeline/remote-series.ts';
import { requireStainOfHe } from '../pipeline/require-he.ts';
import type { SlideReference } from '../pipeline/series-reference.ts';
import { surveyTissue } from '../pipeline/survey.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import { normalizedSource } from './normalized-source.ts';
import { type ColourDistance, colourDistance, figuresOf, type StainFigures } from './stain-figures.ts';

/** Side of the region that the sheet shows pixel by pixel: two of them fit on a page beside the thumbnails. */
export const REGION = 288;
/** Longer side of a thumbnail. */
const THUMBNAIL = 240;
/** Largest level of which a thumbnail is made in one read, in pixels. */
const MAX_OVERVIEW = 4e6;

export interface SlidePictures {
  /** JPEG files. */
  readonly thumbnail: { readonly before: Uint8Array; readonly after: Uint8Array };
  readonly region: { readonly before: Uint8Array; readonly after: Uint8Array };
}

export interface MeasuredSlide {
  /** How sure it is that the slide is not H&E, 0 to 1. */
  readonly score: number;
  readonly notes: readonly string[];
  readonly colourPolicy: string;
  readonly stain: { readonly before: StainFigures; readonly after: StainFigures };
  /** To the template. */
  readonly distance: { readonly before: ColourDistance; readonly after: ColourDistance };
  readonly pictures: SlidePictures | undefined;
}

export interface Normalization {
  readonly network: StainNetwork;
  readonly template: TemplateVersion;
  readonly transfer: TransferName;
}

/** A slide that is not normalised, and what it looks like as far as it can be shown. */
export interface RefusedSlide {
  readonly refusal: StainError;
  /** JPEG file. */
  readonly thumbnail: Uint8Array | undefined;
}

/** Whether an error says something about the slide, rather than about the archive or this machine. */
export function isRefusal(error: StainError): boolean {
  return !error.isTransient && !isResumable(error.code) && [409, 413, 422].includes(error.status);
}

/** @throws what is no refusal of the slide (`isRefusal`), and the refusals of opening it */
export async function measureSlide(
  slide: SlideReference,
  normalization: Normalization,
  access: SeriesAccess,
  hasPictures: boolean,
  signal: AbortSignal,
): Promise<MeasuredSlide | RefusedSlide> {
  const series = await openRemoteSeries(slide, access, signal);
  try {
    return await measureOpen(series, normalization, hasPictures, signal);
  } catch (thrown) {
    const refusal = toStainError(thrown);
    if (!isRefusal(refusal)) throw thrown;
    const [overview] = series.overviews(WHITE);
    // A damaged slide may be refused because it cannot be read.
    const picture = hasPictures
      ? await overview!.read(middleOf(overview!), signal).catch(() => undefined)
      : undefined;
    return { refusal, thumbnail: picture && (await sheetJpeg(picture, THUMBNAIL)) };
  }
}

async function measureOpen(
  series: RemoteSeries,
  { network, template, transfer: name }: Normalization,
  hasPictures: boolean,
  signal: AbortSignal,
): Promise<MeasuredSlide> {
  const [base, overviews] = [series.base(WHITE), series.overviews(WHITE)];
  const fit = await fitStain(base, overviews, network, { signal });
  requireStainOfHe(series.slide, fit, {});
  const transfer = makeTransfer(name, fit, template, network.model.classNames);
  const normalized = (source: PixelSource): PixelSource => normalizedSource(source, network, transfer);
  const again = await fitStain(normalized(base), overviews.map(normalized), network, { signal });
  const [before, after, target] = [figuresOf(fit), figuresOf(again), figuresOf(template)];
  return {
    score: fit.outOfDistribution.score,
    notes: [...series.slide.notes, ...fit.notes, ...series.colour.notes, ...transfer.notes],
    colourPolicy: series.colour.policy,
    stain: { before, after },
    distance: { before: colourDistance(before, target), after: colourDistance(after, target) },
    pictures: hasPictures ? await picturesOf(base, overviews, network, normalized, signal) : undefined,
  };
}

async function picturesOf(
  base: PixelSource,
  overviews: readonly PixelSource[],
  network: StainNetwork,
  normalized: (source: PixelSource) => PixelSource,
  signal: AbortSignal,
): Promise<SlidePictures> {
  const both = async (source: PixelSource, part: Rectangle, side: number) => ({
    before: await sheetJpeg(await source.read(part, signal), side),
    after: await sheetJpeg(await normalized(source).read(part, signal), side),
  });
  const overview = overviews[0]!;
  const region = await richestRegion(base, overviews, network, signal);
  return {
    thumbnail: await both(overview, middleOf(overview), THUMBNAIL),
    region: await both(base, region, REGION),
  };
}

/** The part of the base level that shows most tissue. */
async function richestRegion(
  base: PixelSource,
  overviews: readonly PixelSource[],
  { model }: StainNetwork,
  signal: AbortSignal,
): Promise<Rectangle> {
  const geometry = { halo: 0, alignment: model.alignment, coreSize: REGION };
  const { windows } = await surveyTissue(base, overviews, geometry, signal);
  const richest = windows.reduce((best, one) => (one.tissue > best.tissue ? one : best));
  const [width, height] = [Math.min(REGION, base.width), Math.min(REGION, base.height)];
  const { x, y } = richest.window.core;
  return { x: Math.min(x, base.width - width), y: Math.min(y, base.height - height), width, height };
}

/** The whole overview, or its middle if it is too large to be read at once. */
function middleOf({ width, height }: PixelSource): Rectangle {
  const part = Math.min(1, Math.sqrt(MAX_OVERVIEW / (width * height)));
  const [w, h] = [Math.max(1, Math.floor(width * part)), Math.max(1, Math.floor(height * part))];
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), width: w, height: h };
}
