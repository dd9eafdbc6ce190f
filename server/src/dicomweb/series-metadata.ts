/**
 * WADO-RS metadata of a series. Archives are known to thin them to the few attributes of their database (Orthanc with
 * SeriesMetadata MainDicomTags), by which no whole-slide image can be read: then each instance is asked for its own.
 */
import { DataSet } from '../dicom/dataset.ts';
import { MAX_INSTANCES, WHOLE_SLIDE } from '../dicom/sop-class.ts';
import { StainError } from '../errors.ts';
import type { ArchiveConnection } from './connection.ts';
import { instanceHeader, instanceMetadata } from './instance-header.ts';
import { type InstanceAddress, seriesPath } from './resource-path.ts';

/** Of every whole-slide image (PS3.3 A.32.8, types 1 of what is read here). */
const NEEDED = [
  'ImageType',
  'Rows',
  'Columns',
  'SamplesPerPixel',
  'BitsAllocated',
  'BitsStored',
  'TotalPixelMatrixColumns',
  'TotalPixelMatrixRows',
];

/** @throws SERIES_NOT_FOUND, PAYLOAD_TOO_LARGE, DICOM_INVALID and what the connection throws */
export async function seriesMetadata(
  connection: ArchiveConnection,
  address: Omit<InstanceAddress, 'sopUid'>,
  maxBytes: number,
  signal: AbortSignal,
): Promise<DataSet[]> {
  const path = [...seriesPath(address), 'metadata'];
  const answer = await connection.getJson({ path, notFound: 'SERIES_NOT_FOUND' }, maxBytes, signal);
  const headers = answer.items.map((json) => DataSet.fromDicomJson(json));
  // A series of more is refused by its number, and not asked for one by one.
  if (headers.length > MAX_INSTANCES || headers.every(isWholeHeader)) return headers;
  let { bytes: held } = answer;
  for (const [i, thin] of headers.entries()) {
    const sopUid = thin.string('SOPInstanceUID');
    if (sopUid === undefined || isWholeHeader(thin)) continue;
    const instance = { ...address, sopUid };
    // A key object has no pixel data, up to which it could be fetched.
    const header =
      kindOf(thin) === 'key object'
        ? await instanceMetadata(connection, instance, maxBytes - held, signal)
        : await instanceHeader(connection, instance, isWholeHeader, maxBytes - held, signal);
    if (!header) continue;
    headers[i] = header.dataSet;
    held += header.bytes;
    // A series of another kind is refused by its first instance.
    if (kindOf(header.dataSet) === 'other') break;
    if (held > maxBytes)
      throw new StainError(
        'PAYLOAD_TOO_LARGE',
        `The headers of the series take more than ${maxBytes} bytes.`,
        { data: { maxBytes } },
      );
  }
  return headers;
}

/** Whether a header tells what is read of it here. */
function isWholeHeader(header: DataSet): boolean {
  const kind = kindOf(header);
  if (kind === 'other') return true;
  if (kind === 'key object') return header.has('ConceptNameCodeSequence');
  return (
    header.has('SOPClassUID') &&
    NEEDED.every((keyword) => header.has(keyword)) &&
    (header.has('SharedFunctionalGroupsSequence') || header.has('PerFrameFunctionalGroupsSequence'))
  );
}

/** One that says nothing of itself may be a slide. */
function kindOf(header: DataSet): 'slide' | 'key object' | 'other' {
  const sopClass = header.string('SOPClassUID') ?? WHOLE_SLIDE;
  const modality = header.string('Modality') ?? 'SM';
  if (modality === 'KO') return 'key object';
  return sopClass === WHOLE_SLIDE && modality === 'SM' ? 'slide' : 'other';
}
