/** Small pictures of a slide before and after, as the archive renders them. */
import type { Outcome } from '../jobs/outcome-records.ts';
import { dicomWebPath } from './archive-paths.ts';

export interface PictureAddresses {
  readonly before: string | null;
  readonly after: string | null;
}

/**
 * Of a result, the same image on both sides. Otherwise what the archive shows of the series, unless that may be another
 * slide.
 * @param root of the API
 */
export function picturesOf(
  { studyInstanceUid, derivedSeriesInstanceUid, picture, ...of }: Outcome,
  root: string,
): PictureAddresses {
  const seriesIn = (archive: string | null, series: string): string =>
    `${root}${dicomWebPath(archive)}/studies/${studyInstanceUid}/series/${series}`;
  const before = seriesIn(of.source, of.seriesInstanceUid);
  const ofSeries = of.slide === null ? `${before}/rendered` : null;
  return {
    before: picture?.before ? `${before}/instances/${picture.before}/rendered` : ofSeries,
    after:
      picture && derivedSeriesInstanceUid
        ? `${seriesIn(of.destination, derivedSeriesInstanceUid)}/instances/${picture.after}/rendered`
        : null,
  };
}
