/**
 * What the normalised archive keeps about a slide in order to list it: a few kilobytes, although its headers may take
 * megabytes.
 */

import { StainError } from '../../../core/src/errors.ts';
import { isOurs } from '../derived/equipment.ts';
import { nameOf } from '../pipeline/derived-headers.ts';
import { imagesOf, inspectSlides, type SeriesAccess } from '../pipeline/inspect-series.ts';
import { type SourceFingerprint, sourceOf } from '../pipeline/means.ts';
import { requireDeclaredHe } from '../pipeline/require-he.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import type { Level, Slide } from '../slide/types.ts';

export interface SlideSummary extends SeriesReference {
  readonly source: SourceFingerprint;
  /** For readers: tells the slides of a series apart; undefined if the series holds no other. */
  readonly name: string | undefined;
  /** Timezone Offset From UTC. */
  readonly timezone: string | undefined;
  /** Levels, the base level first; the thumbnail last. */
  readonly images: readonly ImageSummary[];
}

export interface ImageSummary
  extends Pick<Level, 'role' | 'rows' | 'columns' | 'totalRows' | 'totalColumns'> {
  /** Several for a concatenation. */
  readonly instances: readonly { readonly sopInstanceUid: string }[];
  readonly numberOfFrames: number;
}

/**
 * The slides of a series that may be normalised, as far as their headers tell; without those that are no slides, or
 * were made by this product.
 * @throws SERIES_NOT_FOUND and errors of the archive
 */
export async function summarizeSlides(
  series: SeriesReference,
  access: Pick<SeriesAccess, 'source' | 'limits'>,
  signal: AbortSignal,
): Promise<readonly SlideSummary[]> {
  const found = await inspectSlides(series, access, signal);
  return found.filter(isNormalizable).map(summaryOf);
}

function isNormalizable(slide: Slide | StainError): slide is Slide {
  if (slide instanceof StainError || isOurs(slide.levels[0]!.instances[0]!.dataset)) return false;
  try {
    requireDeclaredHe(slide, {});
    return true;
  } catch {
    return false;
  }
}

function summaryOf(slide: Slide): SlideSummary {
  const { studyInstanceUid, seriesInstanceUid, isOneOfSeveral } = slide;
  return {
    studyInstanceUid,
    seriesInstanceUid,
    source: sourceOf(slide),
    name: isOneOfSeveral ? nameOf(slide) : undefined,
    timezone: slide.levels[0]!.instances[0]!.dataset.string('TimezoneOffsetFromUTC'),
    images: imagesOf(slide).map(({ role, rows, columns, totalRows, totalColumns, instances, frames }) => ({
      role,
      rows,
      columns,
      totalRows,
      totalColumns,
      instances: instances.map(({ sopInstanceUid }) => ({ sopInstanceUid })),
      numberOfFrames: frames.length,
    })),
  };
}
