/**
 * WADO-RS metadata of a series. Some archives reduce them to the few attributes in their database (Orthanc with
 * SeriesMetadata MainDicomTags), which is not enough to read a whole-slide image: then each instance is queried. Others
 * have none at all (tiny_pacs): then the results of a search stand for them.
 */

import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { dataSetFromJson } from '../dicom/from-json.ts';
import type { DicomJson } from '../dicom/json-model.ts';
import { MAX_INSTANCES, WHOLE_SLIDE } from '../dicom/sop-class.ts';
import { refusedStatus } from './archive-habits.ts';
import type { ArchiveConnection } from './connection.ts';
import { type InstanceHeader, instanceHeader, instanceMetadata, storedDocument } from './instance-header.ts';
import { isNotFound } from './no-match.ts';
import { type InstanceAddress, seriesPath } from './resource-path.ts';
import { type SearchLimits, search } from './search.ts';

/** A key object with a reference to each of 1000 instances takes 0.3 MB. */
const MAX_DOCUMENT_BYTES = 16e6;

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
  limits: SearchLimits,
  signal: AbortSignal,
): Promise<DataSet[]> {
  const { maxMetadataBytes: maxBytes } = limits;
  const answer = await toldOfSeries(connection, address, limits, signal);
  const headers = answer.items.map((json) => dataSetFromJson(json));
  // A series with more instances is refused because of their number, without querying each.
  if (headers.length > MAX_INSTANCES || headers.every(isWholeHeader)) return headers;
  let { bytes: held } = answer;
  for (const [i, thin] of headers.entries()) {
    const sopUid = thin.string('SOPInstanceUID');
    if (sopUid === undefined || isWholeHeader(thin)) continue;
    const instance = { ...address, sopUid };
    const read = kindOf(thin) === 'key object' ? keyObject : instanceHeader;
    const header = await read(connection, instance, isWholeHeader, maxBytes - held, signal);
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

async function toldOfSeries(
  connection: ArchiveConnection,
  address: Omit<InstanceAddress, 'sopUid'>,
  limits: SearchLimits,
  signal: AbortSignal,
): Promise<{ readonly items: readonly DicomJson[]; readonly bytes: number }> {
  try {
    const path = [...seriesPath(address), 'metadata'];
    const request = { path, notFound: 'SERIES_NOT_FOUND' } as const;
    return await connection.getDataSets(request, limits.maxMetadataBytes, signal);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const parameters = { StudyInstanceUID: address.studyUid, SeriesInstanceUID: address.seriesUid };
    const most = { maxResults: MAX_INSTANCES };
    const items = await search(connection, 'instances', parameters, limits, signal, most);
    if (items.length === 0) throw error;
    return { items, bytes: 0 };
  }
}

/**
 * It has no pixel data up to which its header could be fetched.
 * @returns undefined if it cannot be read: a damaged one must not make its study useless
 */
async function keyObject(
  connection: ArchiveConnection,
  address: InstanceAddress,
  isWhole: (header: DataSet) => boolean,
  maxBytes: number,
  signal: AbortSignal,
): Promise<InstanceHeader | undefined> {
  const told = await instanceMetadata(connection, address, maxBytes, signal);
  if (told && isWhole(told.dataSet)) return told;
  try {
    return await storedDocument(connection, address, Math.min(maxBytes, MAX_DOCUMENT_BYTES), signal);
  } catch (error) {
    if (isNotFound(error) || refusedStatus(error) !== undefined || isUnreadable(error)) return undefined;
    throw error;
  }
}

function isUnreadable(error: unknown): boolean {
  const { code } = toStainError(error);
  return code === 'DICOM_INVALID' || code === 'TRANSFER_SYNTAX_UNSUPPORTED';
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
