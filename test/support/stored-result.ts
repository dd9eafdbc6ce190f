/** What an archive says about a stored result, past the service. */
import { textOf } from '../../server/src/dicom/json-model.ts';
import { createDicomWebClient, type DicomWebClient } from '../../server/src/dicomweb/client.ts';
import { rejectionOf } from '../../server/src/pipeline/rejection.ts';
import type { SeriesReference } from '../../server/src/pipeline/series-reference.ts';

/** An archive, with what it asks for. */
export interface Place {
  readonly url: string;
  readonly headers?: Record<string, string>;
}

const signal = new AbortController().signal;

/** Patient and accession of a stored series. */
export function patientOf(place: Place, series: SeriesReference): Promise<object> {
  return withClient(place, async (client) => {
    const { studyInstanceUid, seriesInstanceUid } = series;
    const [header] = await client.seriesMetadata(studyInstanceUid, seriesInstanceUid, signal);
    const keywords = ['PatientID', 'PatientName', 'AccessionNumber'];
    return Object.fromEntries(keywords.map((keyword) => [keyword, header!.string(keyword)]));
  });
}

/** Why a series was rejected, as a Key Object Selection beside it says. */
export function titleOf(place: Place, series: SeriesReference): Promise<string | undefined> {
  return withClient(place, (client) => rejectionOf(series, client, signal));
}

/** Series Instance UIDs of a study, notes of rejection apart. */
export function imagesIn(place: Place, studyInstanceUid: string): Promise<string[]> {
  return withClient(place, async (client) => {
    const found = await client.searchSeries({ StudyInstanceUID: studyInstanceUid }, signal);
    return found
      .filter((json) => textOf(json, '00080060') !== 'KO')
      .map((json) => textOf(json, '0020000E')!)
      .toSorted();
  });
}

async function withClient<T>(place: Place, ask: (client: DicomWebClient) => Promise<T>): Promise<T> {
  const client = createDicomWebClient(place);
  try {
    return await ask(client);
  } finally {
    await client.close();
  }
}
