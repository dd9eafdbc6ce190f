/** Reads what an archive's metadata say about a series, before any pixel is fetched. */
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { DataSet } from '../dicom/dataset.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { describeSlide, type SlideLimits } from '../slide/describe.ts';
import { slidesToAskFor } from '../slide/several-slides.ts';
import type { Slide } from '../slide/types.ts';
import type { SpoolOptions } from '../spool/spool.ts';
import type { InvalidProfilePolicy } from './colour.ts';
import type { InstanceFiles } from './instance-files.ts';
import { requireSeries, type SeriesReference, type SlideReference } from './series-reference.ts';

/** What is needed to read a series. */
export interface SeriesAccess {
  readonly source: DicomWebClient;
  readonly codecs: CodecPool;
  readonly spool: SpoolOptions;
  readonly limits: SlideLimits & { readonly maxInstanceBytes: number };
  readonly onInvalidProfile: InvalidProfilePolicy;
  /** Used for frames of archives that are slow to return single frames. */
  readonly instanceFiles?: InstanceFiles | undefined;
}

/**
 * Reads what the archive's metadata say about a slide, without fetching a pixel.
 * @throws SERIES_NOT_FOUND and the refusals of `describeSlide`
 */
export async function inspectSeries(
  series: SlideReference,
  access: Pick<SeriesAccess, 'source' | 'limits'>,
  signal: AbortSignal,
): Promise<Slide> {
  const headers = await announcedHeaders(series, access, signal);
  return inspectSlide(headers, series, access);
}

/**
 * Lists all slides of a series (it may contain several), or why one of them cannot be normalised.
 * @throws SERIES_NOT_FOUND and errors of the archive
 */
export async function inspectSlides(
  series: SeriesReference,
  access: Pick<SeriesAccess, 'source' | 'limits'>,
  signal: AbortSignal,
): Promise<(Slide | StainError)[]> {
  const headers = await announcedHeaders(series, access, signal);
  const inspect = (slide?: string): Slide | StainError => {
    try {
      return inspectSlide(headers, { ...series, slide }, access);
    } catch (error) {
      return toStainError(error);
    }
  };
  const only = inspect();
  const several = slidesToAskFor(only);
  return several.length > 0 ? several.map(inspect) : [only];
}

async function announcedHeaders(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  { source }: Pick<SeriesAccess, 'source'>,
  signal: AbortSignal,
): Promise<DataSet[]> {
  const headers = await source.seriesMetadata(studyInstanceUid, seriesInstanceUid, signal);
  if (headers.length > 0) return headers;
  throw new StainError(
    'SERIES_NOT_FOUND',
    `The archive holds no series ${seriesInstanceUid} in study ${studyInstanceUid}.`,
  );
}

function inspectSlide(
  headers: readonly DataSet[],
  series: SlideReference,
  { limits }: Pick<SeriesAccess, 'limits'>,
): Slide {
  const slide = describeSlide(headers, limits, series.slide);
  requireSeries(headers, series);
  requireInstanceSize(slide, limits.maxInstanceBytes);
  return slide;
}

/** All images of a slide that are read: its levels and the thumbnail. */
export function imagesOf<Image>({
  levels,
  thumbnail,
}: {
  readonly levels: readonly Image[];
  readonly thumbnail: Image | undefined;
}): Image[] {
  return thumbnail ? [...levels, thumbnail] : [...levels];
}

/** Refuses a slide before the work, not after it, if the archive cannot accept the result. */
function requireInstanceSize(slide: Slide, maxInstanceBytes: number): void {
  for (const level of slide.levels) {
    // JPEG at quality 90 stays below a third of the raw size; so does lossless encoding, mostly.
    const bytes = (level.frames.length * level.rows * level.columns * 3) / 3;
    if (bytes > maxInstanceBytes)
      throw new StainError(
        'SLIDE_TOO_LARGE',
        `A level may need ${Math.round(bytes / 1e6)} MB; the limit is ${Math.round(maxInstanceBytes / 1e6)} MB per instance.`,
        {
          data: { bytes, limit: maxInstanceBytes },
        },
      );
  }
}
