/** References to series and slides by their UIDs, as requests name them. */

import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';

export interface SeriesReference {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
}

export interface SlideReference extends SeriesReference {
  /** SOP Instance UID of any image of the slide; if undefined, the only slide of the series. */
  readonly slide?: string | undefined;
}

/** A series of an archive; undefined: of the default one. */
export interface SeriesOfArchive extends SeriesReference {
  readonly source?: string | undefined;
}

export interface SlideOfArchive extends SlideReference, SeriesOfArchive {}

/** @throws DICOM_INVALID if a header belongs to another study or series */
export function requireSeries(headers: readonly DataSet[], series: SeriesReference): void {
  for (const header of headers)
    if (
      header.string('StudyInstanceUID') !== series.studyInstanceUid ||
      header.string('SeriesInstanceUID') !== series.seriesInstanceUid
    )
      throw new StainError(
        'DICOM_INVALID',
        'An instance belongs to another study or series than the archive says.',
      );
}
