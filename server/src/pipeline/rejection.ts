/**
 * Whether a series was rejected (IHE Imaging Object Change Management): a Key Object Selection Document says so, with
 * one of four titles of CID 7010. Archives that act on such a document hide the series; the others list both.
 */
import type { RejectionReason } from '../../../core/src/contract/rejection-reason.ts';
import { REJECTION_TITLES } from '../derived/rejection-note.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { textOf } from '../dicom/json-model.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { orNone } from '../dicomweb/no-match.ts';
import type { SeriesReference } from './series-reference.ts';
import { type DerivedSeries, isSeriesStored } from './store-series.ts';

const REASONS: ReadonlyMap<string | undefined, RejectionReason> = new Map(
  Object.entries(REJECTION_TITLES).map(([reason, [value]]) => [value, reason as RejectionReason]),
);

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
  series: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<boolean> {
  return (await rejectionOf(series, archive, signal)) !== undefined;
}

/** Why a series, or a part of it, was rejected. */
export async function rejectionOf(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<RejectionReason | undefined> {
  const parameters = { StudyInstanceUID: studyInstanceUid, Modality: 'KO' };
  const found = await archive.searchSeries(parameters, signal);
  for (const json of found.slice(0, MAX_READ)) {
    const uid = textOf(json, '0020000E');
    // An instance that does not name its class may be anything, and large.
    if (uid === undefined || textOf(json, '00080060')?.trim() !== 'KO') continue;
    const documents = (await orNone(() => archive.seriesMetadata(studyInstanceUid, uid, signal))) ?? [];
    const rejecting = documents.find((document) => refersTo(document, seriesInstanceUid));
    if (rejecting) return reasonOf(rejecting);
  }
  return undefined;
}

function reasonOf(document: DataSet): RejectionReason | undefined {
  const [title] = document.items('ConceptNameCodeSequence');
  return REASONS.get(title?.string('CodeValue'));
}

function refersTo(document: DataSet, seriesInstanceUid: string): boolean {
  if (reasonOf(document) === undefined) return false;
  return document
    .items('CurrentRequestedProcedureEvidenceSequence')
    .flatMap((study) => study.items('ReferencedSeriesSequence'))
    .some((series) => series.string('SeriesInstanceUID') === seriesInstanceUid);
}
