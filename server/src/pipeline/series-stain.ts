/** Fits the stain of a series as a job would, and makes templates from it. Reads a slide, stores nothing. */
import type { ColourTable } from '../../../core/src/codec/colour-table.ts';
import { StainError } from '../../../core/src/errors.ts';
import { WHITE } from '../../../core/src/image/raster.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import { thumbnailJpeg } from '../codec/image-file.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import { regionOf } from '../slide/region-source.ts';
import { type Fit, fitStain } from './fit.ts';
import type { SeriesAccess } from './inspect-series.ts';
import { makeTemplate, type TemplateDescription } from './make-template.ts';
import { openRemoteSeries, type RemoteSeries } from './remote-series.ts';
import { requireDeclaredHe, type StainPolicy } from './require-he.ts';
import type { SlideReference } from './series-reference.ts';

export interface SeriesStain {
  readonly fit: Fit;
  readonly colourPolicy: string;
  readonly notes: readonly string[];
  readonly colourTable: ColourTable | undefined;
  /** For further reads of the series. */
  readonly series: RemoteSeries;
}

/** Fits the stain of a series. @throws whatever `openRemoteSeries` and `fitStain` refuse */
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
 * @param region in pixels of the base level; undefined for the whole slide
 * @throws STAIN_NOT_HE, and whatever `openRemoteSeries` and `fitStain` refuse
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

/** The whole overview, or its middle if it is too large for a picture. */
function middleOf({ width, height }: PixelSource): Rectangle {
  const maxSide = 2048;
  const [w, h] = [Math.min(maxSide, width), Math.min(maxSide, height)];
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), width: w, height: h };
}
