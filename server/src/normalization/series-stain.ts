/** The stain of a series as a job would fit it, and templates made from one: looks at a slide, stores nothing. */
import type { ColourTable } from '../codec/colour-table.ts';
import { thumbnailJpeg } from '../codec/image-file.ts';
import { StainError } from '../errors.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import { WHITE } from '../slide/raster.ts';
import { regionOf } from '../slide/region-source.ts';
import type { Rectangle } from '../slide/windows.ts';
import type { Template } from '../stain/template-document.ts';
import { type Fit, fitStain } from './fit.ts';
import { makeTemplate, type TemplateDescription } from './make-template.ts';
import type { SeriesAccess, SlideReference } from './open-series.ts';
import { openRemoteSeries, type RemoteSeries } from './remote-series.ts';
import { requireDeclaredHe, type StainPolicy } from './require-he.ts';

export interface SeriesStain {
  readonly fit: Fit;
  readonly colourPolicy: string;
  readonly notes: readonly string[];
  readonly colourTable: ColourTable | undefined;
  /** For what else is to be read of it. */
  readonly series: RemoteSeries;
}

/** Fits the stain of a series. @throws what `openRemoteSeries` and `fitStain` refuse */
export async function readSeriesStain(
  series: SlideReference,
  network: StainNetwork,
  access: SeriesAccess,
  signal: AbortSignal,
): Promise<SeriesStain> {
  const open = await openRemoteSeries(series, access, signal);
  const fit = await fitStain(open.base(WHITE), open.overviews(WHITE), network, { signal });
  const { policy, notes, table } = open.colour;
  return {
    fit,
    colourPolicy: policy,
    notes: [...open.slide.notes, ...fit.notes, ...notes],
    colourTable: table,
    series: open,
  };
}

/**
 * @param region in pixels of the base level; the whole slide without it
 * @throws STAIN_NOT_HE, and what `openRemoteSeries` and `fitStain` refuse
 */
export async function makeSeriesTemplate(
  series: SlideReference,
  region: Rectangle | undefined,
  network: StainNetwork,
  access: SeriesAccess,
  description: TemplateDescription,
  policy: StainPolicy,
  signal: AbortSignal,
): Promise<Template> {
  const open = await openRemoteSeries(series, access, signal);
  requireDeclaredHe(open.slide, policy);
  const whole = open.base(WHITE);
  if (region && (region.x + region.width > whole.width || region.y + region.height > whole.height))
    throw new StainError('REQUEST_INVALID', 'The region reaches beyond the slide.', {
      data: { totalColumns: whole.width, totalRows: whole.height },
    });
  const base = region ? regionOf(whole, region) : whole;
  const overviews = region ? [base] : open.overviews(WHITE);
  const [smallest] = overviews;
  const picture = await smallest!.read(middleOf(smallest!), signal);
  return makeTemplate(
    [{ base, overviews }],
    await thumbnailJpeg(picture),
    network,
    description,
    policy,
    signal,
  );
}

/** The whole overview, or the middle of one that is too large to be a picture. */
function middleOf({ width, height }: PixelSource): Rectangle {
  const most = 2048;
  const [w, h] = [Math.min(most, width), Math.min(most, height)];
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), width: w, height: h };
}
