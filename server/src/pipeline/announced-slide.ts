/** A slide as the archive's metadata announce it, reduced to what is needed until its instances are fetched. */
import type { Level, Slide } from '../slide/types.ts';
import type { NeededRoom } from '../spool/spool.ts';
import { imagesOf, inspectSeries, type SeriesAccess } from './inspect-series.ts';
import { type SourceFingerprint, sourceOf } from './means.ts';
import { instanceRoom } from './needed-room.ts';
import type { SlideReference } from './series-reference.ts';

export interface AnnouncedImage extends Pick<Level, 'rows' | 'columns' | 'totalColumns'> {
  readonly frames: { readonly length: number };
  readonly instances: readonly { readonly sopInstanceUid: string; readonly room: NeededRoom }[];
}

export interface AnnouncedSlide extends Pick<Slide, 'studyInstanceUid' | 'isOneOfSeveral' | 'notes'> {
  readonly source: SourceFingerprint;
  readonly levels: readonly AnnouncedImage[];
  readonly thumbnail: AnnouncedImage | undefined;
}

/**
 * Keeps neither headers nor frame positions: those of several hundred thousand frames would stay in memory while the
 * instances are fetched.
 */
export function announcementOf(slide: Slide): AnnouncedSlide {
  const { studyInstanceUid, isOneOfSeveral, notes, levels, thumbnail } = slide;
  return {
    studyInstanceUid,
    isOneOfSeveral,
    notes,
    source: sourceOf(slide),
    levels: levels.map(imageOf),
    thumbnail: thumbnail && imageOf(thumbnail),
  };
}

/** @throws whatever `inspectSeries` refuses */
export async function announcedSlide(
  series: SlideReference,
  access: Pick<SeriesAccess, 'source' | 'limits'>,
  signal: AbortSignal,
): Promise<AnnouncedSlide> {
  return announcementOf(await inspectSeries(series, access, signal));
}

/** Whether an instance belongs to the thumbnail, which a slide can do without. */
export function isOfThumbnail({ thumbnail }: AnnouncedSlide, sopInstanceUid: string): boolean {
  return thumbnail?.instances.some((instance) => instance.sopInstanceUid === sopInstanceUid) ?? false;
}

/** SOP Instance UIDs of all images. */
export function instancesOf(slide: AnnouncedSlide): string[] {
  return imagesOf(slide).flatMap(({ instances }) => instances.map(({ sopInstanceUid }) => sopInstanceUid));
}

export function imageOf(level: Level): AnnouncedImage {
  const { rows, columns, totalColumns, frames, instances } = level;
  return {
    rows,
    columns,
    totalColumns,
    frames: { length: frames.length },
    instances: instances.map((instance) => ({
      sopInstanceUid: instance.sopInstanceUid,
      room: instanceRoom(level, instance),
    })),
  };
}
