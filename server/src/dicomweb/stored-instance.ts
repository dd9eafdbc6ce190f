/** Checks whether an instance is in the archive, and is the expected one. */

import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { type DicomJson, numberOf, textOf } from '../dicom/json-model.ts';
import { refusedStatus } from './archive-habits.ts';
import type { ArchiveConnection } from './connection.ts';
import { instanceHeader } from './instance-header.ts';
import { isNotFound } from './no-match.ts';
import type { InstanceAddress } from './resource-path.ts';
import { waitFor } from './retry.ts';
import { type SearchLimits, search } from './search.ts';

/** What the archive must report about an instance; undefined values are not compared. */
export interface ExpectedInstance {
  readonly sopClassUid?: string;
  readonly rows?: number;
  readonly columns?: number;
  readonly numberOfFrames?: number;
}

export interface VerifyLimits extends SearchLimits {
  readonly verifyDelaysMs: readonly number[];
}

/** `same`, `other` (a different image has the UID), or `absent`. */
export type Presence = 'same' | 'other' | 'absent';

const COMPARED = [
  { key: 'rows', tag: '00280010', keyword: 'Rows' },
  { key: 'columns', tag: '00280011', keyword: 'Columns' },
  { key: 'numberOfFrames', tag: '00280008', keyword: 'NumberOfFrames' },
] as const;
const SOP_CLASS_UID = '00080016';
const SERIES_INSTANCE_UID = '0020000E';
const SOP_INSTANCE_UID = '00080018';

/** @throws STORE_UNVERIFIED, and whatever the connection throws */
export async function verifyInstance(
  connection: ArchiveConnection,
  address: InstanceAddress,
  expected: ExpectedInstance,
  limits: VerifyLimits,
  signal: AbortSignal,
): Promise<void> {
  let presence: Presence = 'absent';
  for (const delay of limits.verifyDelaysMs) {
    await waitFor(delay, signal);
    presence = await presenceOf(connection, address, expected, limits, signal);
    if (presence === 'same') return;
  }
  const what = presence === 'absent' ? 'does not have it' : 'has a different image under its UID';
  throw new StainError('STORE_UNVERIFIED', `The archive accepted an instance but ${what}.`, {
    data: { sopInstanceUid: address.sopUid, presence },
  });
}

/** Searches by SOP Instance UID; omit `seriesUid` if only the study is known. */
export async function presenceOf(
  connection: ArchiveConnection,
  address: Omit<InstanceAddress, 'seriesUid'> & { readonly seriesUid?: string },
  expected: ExpectedInstance,
  limits: SearchLimits,
  signal: AbortSignal,
): Promise<Presence> {
  const found = await find(connection, address, limits, signal);
  if (found === undefined) return 'absent';
  const wanted = COMPARED.filter(({ key }) => expected[key] !== undefined);
  const isTold = (header: DataSet): boolean =>
    wanted.every(({ tag }) => numberOf(found, tag) !== undefined || header.number(tag) !== undefined);
  // The archive may omit attributes from its response; then the instance itself decides.
  const seriesUid = address.seriesUid ?? textOf(found, SERIES_INSTANCE_UID);
  const isLeftOut = wanted.some(({ tag }) => numberOf(found, tag) === undefined);
  const header =
    isLeftOut && seriesUid !== undefined
      ? await whereReadable(() =>
          instanceHeader(connection, { ...address, seriesUid }, isTold, limits.maxMetadataBytes, signal),
        )
      : undefined;
  const sopClass = textOf(found, SOP_CLASS_UID) ?? header?.dataSet.string(SOP_CLASS_UID);
  const isSame = <T>(shown: T | undefined, meant: T | undefined): boolean =>
    shown === undefined || meant === undefined || shown === meant;
  return isSame(sopClass, expected.sopClassUid) &&
    wanted.every(({ key, tag }) => isSame(numberOf(found, tag) ?? header?.dataSet.number(tag), expected[key]))
    ? 'same'
    : 'other';
}

async function find(
  connection: ArchiveConnection,
  { studyUid, seriesUid, sopUid }: Omit<InstanceAddress, 'seriesUid'> & { readonly seriesUid?: string },
  limits: SearchLimits,
  signal: AbortSignal,
): Promise<DicomJson | undefined> {
  const parameters = {
    StudyInstanceUID: studyUid,
    SeriesInstanceUID: seriesUid,
    SOPInstanceUID: sopUid,
    includefield: COMPARED.map(({ keyword }) => keyword),
  };
  // Without a limit: an archive that does not filter by SOP Instance UID might return only another instance.
  const found = await search(connection, 'instances', parameters, limits, signal);
  return found.find((item) => textOf(item, SOP_INSTANCE_UID) === sopUid);
}

/** An archive may allow searching but not reading: then the search result decides. */
async function whereReadable<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isNotFound(error) || refusedStatus(error) !== undefined) return undefined;
    throw error;
  }
}
