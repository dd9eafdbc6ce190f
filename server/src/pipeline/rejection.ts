/**
 * Whether a series was rejected (IHE Imaging Object Change Management): a Key Object Selection Document says so, with
 * one of the titles of CID 7011. Archives that act on such a document hide the series; the others list both.
 */
import type { DataSet } from '../dicom/dataset.ts';
import { textOf } from '../dicom/json-model.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { orNone } from '../dicomweb/no-match.ts';
import type { SeriesReference } from './series-reference.ts';
import { type DerivedSeries, isSeriesStored } from './store-series.ts';

/** Quality reasons, patient safety, wrong worklist entry, retention expired (DCM). */
const REJECTIONS: ReadonlySet<string | undefined> = new Set(['113001', '113037', '113038', '113039']);

/** Maximum number of key object series read per study: more than any study has. */
const MAX_READ = 500;

/** Whether the archive lists a complete derived series that nobody has rejected. */
export async function isSeriesThere(
  series: DerivedSeries,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<boolean> {
  return (await isSeriesStored(series, archive, signal)) && !(await isRejected(series, archive, signal));
}

export async function isRejected(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<boolean> {
  const parameters = { StudyInstanceUID: studyInstanceUid, Modality: 'KO' };
  const found = await archive.searchSeries(parameters, signal);
  for (const json of found.slice(0, MAX_READ)) {
    const uid = textOf(json, '0020000E');
    // An instance that does not name its class may be anything, and large.
    if (uid === undefined || textOf(json, '00080060')?.trim() !== 'KO') continue;
    const documents = (await orNone(() => archive.seriesMetadata(studyInstanceUid, uid, signal))) ?? [];
    if (documents.some((document) => rejects(document, seriesInstanceUid))) return true;
  }
  return false;
}

function rejects(document: DataSet, seriesInstanceUid: string): boolean {
  const [title] = document.items('ConceptNameCodeSequence');
  if (!REJECTIONS.has(title?.string('CodeValue'))) return false;
  return document
    .items('CurrentRequestedProcedureEvidenceSequence')
    .flatMap((study) => study.items('ReferencedSeriesSequence'))
    .some((series) => series.string('SeriesInstanceUID') === seriesInstanceUid);
}
