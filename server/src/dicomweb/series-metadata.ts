/**
 * WADO-RS metadata of a series. Some archives reduce them to the few attributes in their database (Orthanc with
 * SeriesMetadata MainDicomTags), which is not enough to read a whole-slide image: then each instance is queried.
 */

import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { dataSetFromJson } from '../dicom/from-json.ts';
import { MAX_INSTANCES, WHOLE_SLIDE } from '../dicom/sop-class.ts';
import type { ArchiveConnection } from './connection.ts';
import { instanceHeader, instanceMetadata } from './instance-header.ts';
import { type InstanceAddress, seriesPath } from './resource-path.ts';

/** Attributes of every whole-slide image (PS3.3 A.32.8, type 1, of those that are read here). */
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

/** @throws SERIES_NOT_FOUND, PAYLOAD_TOO_LARGE, DICOM_INVALID and whatever the connection throws */
export async function seriesMetadata(
  connection: ArchiveConnection,
  address: Omit<InstanceAddress, 'sopUid'>,
  maxBytes: number,
  signal: AbortSignal,
): Promise<DataSet[]> {
  const path = [...seriesPath(address), 'metadata'];
  const answer = await connection.getDataSets({ path, notFound: 'SERIES_NOT_FOUND' }, maxBytes, signal);
  const headers = answer.items.map((json) => dataSetFromJson(json));
  // A series with more instances is refused because of their number, without querying each.
  if (headers.length > MAX_INSTANCES || headers.every(isWholeHeader)) return headers;
  let { bytes: held } = answer;
  for (const [i, thin] of headers.entries()) {
    const sopUid = thin.string('SOPInstanceUID');
    if (sopUid === undefined || isWholeHeader(thin)) continue;
    const instance = { ...address, sopUid };
    // A key object has no pixel data, so its header cannot be fetched up to the pixel data.
    const header =
      kindOf(thin) === 'key object'
        ? await instanceMetadata(connection, instance, maxBytes - held, signal)
        : await instanceHeader(connection, instance, isWholeHeader, maxBytes - held, signal);
    if (!header) continue;
    headers[i] = header.dataSet;
    held += header.bytes;
    // A series of another kind is refused because of its first instance.
    if (kindOf(header.dataSet) === 'other') break;
    if (held > maxBytes)
      throw new StainError('PAYLOAD_TOO_LARGE', `The headers of the series exceed ${maxBytes} bytes.`, {
        data: { maxBytes },
      });
  }
  return headers;
}

/** Whether a header has all attributes that are read here. */
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

/** An instance that does not state its class may be a slide. */
function kindOf(header: DataSet): 'slide' | 'key object' | 'other' {
  const sopClass = header.string('SOPClassUID') ?? WHOLE_SLIDE;
  const modality = header.string('Modality') ?? 'SM';
  if (modality === 'KO') return 'key object';
  return sopClass === WHOLE_SLIDE && modality === 'SM' ? 'slide' : 'other';
}
