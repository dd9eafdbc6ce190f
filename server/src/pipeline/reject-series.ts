/**
 * Rejects a derived series: a Key Object Selection Document is stored in its study (IHE Imaging Object Change
 * Management). Nothing is deleted here; archives that know such documents hide or delete the series.
 */
import type { RejectionReason } from '../../../core/src/contract/rejection-reason.ts';
import { StainError } from '../../../core/src/errors.ts';
import { isOurs } from '../derived/equipment.ts';
import { type InstanceReference, rejectionNote } from '../derived/rejection-note.ts';
import { textOf } from '../dicom/json-model.ts';
import { WHOLE_SLIDE } from '../dicom/sop-class.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { NormalizationEnvironment } from './environment.ts';
import { isRejected } from './rejection.ts';
import type { SeriesReference } from './series-reference.ts';
import { freeSeriesNumber } from './store-series.ts';

export type RejectionEnvironment = Pick<
  NormalizationEnvironment,
  'destination' | 'deviceSerialNumber' | 'softwareVersions'
>;

export interface Rejection extends SeriesReference {
  /** How many instances are rejected. */
  readonly instances: number;
  /** SOP Instance UID of the Key Object Selection; null if the series was rejected before. */
  readonly note: string | null;
}

/**
 * @throws SERIES_NOT_FOUND, RESULT_NOT_OURS if another product made the series, and whatever reading and storing throw.
 * A series that is rejected already is left as it is.
 */
export async function rejectSeries(
  series: SeriesReference,
  reason: RejectionReason,
  { destination, deviceSerialNumber, softwareVersions }: RejectionEnvironment,
  signal: AbortSignal,
): Promise<Rejection> {
  const { studyInstanceUid, seriesInstanceUid } = series;
  const instances = await instancesOf(series, destination, signal);
  const { dataSet: header } = await destination.retrieveHeader(
    studyInstanceUid,
    seriesInstanceUid,
    instances[0]!.sopInstanceUid,
    signal,
  );
  if (!isOurs(header))
    throw new StainError('RESULT_NOT_OURS', 'The series was not made by this product, and is left alone.');
  const rejected = { ...series, instances: instances.length };
  if (await isRejected(series, destination, signal)) return { ...rejected, note: null };
  const note = rejectionNote({
    header,
    instances,
    reason,
    seriesNumber: await freeSeriesNumber(destination, studyInstanceUid, '', signal),
    deviceSerialNumber,
    softwareVersions,
    createdAt: new Date().toISOString(),
  });
  const { bytes, ...instance } = note;
  await destination.storeInstance(
    studyInstanceUid,
    {
      ...instance,
      byteLength: bytes.length,
      async *stream() {
        yield bytes;
      },
    },
    signal,
  );
  return { ...rejected, note: note.sopInstanceUid };
}

/** @throws SERIES_NOT_FOUND */
async function instancesOf(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<InstanceReference[]> {
  const found = await archive.searchInstances(
    { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: seriesInstanceUid },
    signal,
  );
  const instances = found.flatMap((json) => {
    const sopInstanceUid = textOf(json, '00080018');
    // The results of this product are of no other class.
    const sopClassUid = textOf(json, '00080016') ?? WHOLE_SLIDE;
    return sopInstanceUid === undefined ? [] : [{ sopClassUid, sopInstanceUid }];
  });
  if (instances.length === 0)
    throw new StainError('SERIES_NOT_FOUND', `The archive has no series ${seriesInstanceUid} in that study.`);
  return instances;
}
