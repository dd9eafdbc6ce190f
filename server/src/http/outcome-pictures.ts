/** Small pictures of a slide before and after, as the archive renders them. */
import type { Outcome } from '../jobs/outcome-records.ts';

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
  { studyInstanceUid, seriesInstanceUid, slide, derivedSeriesInstanceUid, picture }: Outcome,
  root: string,
): PictureAddresses {
  const study = `${root}/dicom-web/studies/${studyInstanceUid}`;
  const image = (series: string, instance: string): string =>
    `${study}/series/${series}/instances/${instance}/rendered`;
  const ofSeries = slide === null ? `${study}/series/${seriesInstanceUid}/rendered` : null;
  return {
    before: picture?.before ? image(seriesInstanceUid, picture.before) : ofSeries,
    after: picture && derivedSeriesInstanceUid ? image(derivedSeriesInstanceUid, picture.after) : null,
  };
}
