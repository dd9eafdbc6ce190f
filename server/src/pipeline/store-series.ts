/** Stores the derived instances, one per request, base level last, and verifies that the archive has them. */

import type { StoredPart } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { EncapsulatedInstance } from '../derived/encapsulated-instance.ts';
import { type DicomJson, numberOf, textOf } from '../dicom/json-model.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { ProgressTracker } from './progress.ts';
import type { SeriesReference } from './series-reference.ts';

/** Maximum of an Integer String (PS3.5 table 6.2-1). */
const MAX_SERIES_NUMBER = 2 ** 31 - 1;

export async function storeSeries(
  instances: readonly EncapsulatedInstance[],
  archive: DicomWebClient,
  maxInstanceBytes: number,
  progress: ProgressTracker,
  onStored: (stored: StoredPart) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const total = instances.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const tooLarge = instances.find(({ byteLength }) => byteLength > maxInstanceBytes);
  if (tooLarge)
    throw new StainError(
      'SLIDE_TOO_LARGE',
      `A derived instance has ${Math.ceil(tooLarge.byteLength / 1e6)} MB; the limit is ${Math.floor(maxInstanceBytes / 1e6)} MB. Nothing was stored.`,
      { data: { bytes: tooLarge.byteLength, limit: maxInstanceBytes } },
    );
  const [base, ...others] = instances as [EncapsulatedInstance, ...EncapsulatedInstance[]];
  // An earlier attempt may have stored some of them.
  let stored = await storedUids(base, archive, signal);
  const tellStored = () => onStored({ instances: stored.size, of: instances.length });
  if (stored.size > 0) await tellStored();
  let done = 0;
  const store = async (instance: EncapsulatedInstance): Promise<void> => {
    progress.report('store', done, total, 'bytes');
    done += instance.byteLength;
    if (stored.has(instance.sopInstanceUid)) return;
    await archive.storeInstance(instance.studyInstanceUid, instance, signal);
    stored.add(instance.sopInstanceUid);
    await tellStored();
  };
  const verify = ({
    studyInstanceUid,
    seriesInstanceUid,
    sopInstanceUid,
    numberOfFrames,
  }: EncapsulatedInstance) =>
    archive.verifyInstance(studyInstanceUid, seriesInstanceUid, sopInstanceUid, { numberOfFrames }, signal);
  try {
    // The base level goes last, once the archive lists all others: a viewer never sees half a pyramid.
    for (const instance of others.reverse()) await store(instance);
    for (const instance of others) await verify(instance);
    await store(base);
    progress.report('store', total, total, 'bytes');
    progress.report('verify', others.length, instances.length, 'instances');
    await verify(base);
    progress.report('verify', instances.length, instances.length, 'instances');
  } catch (error) {
    if (error instanceof StainError && error.code === 'STORE_UNVERIFIED') {
      // The archive's store response and its contents may disagree: the contents count.
      stored = await storedUids(base, archive, signal).catch(() => stored);
      await tellStored();
    }
    throw toldInPart(error, instances, stored);
  }
}

/** Adds to the error how much of the series the archive holds. */
function toldInPart(
  thrown: unknown,
  instances: readonly EncapsulatedInstance[],
  stored: ReadonlySet<string>,
): unknown {
  if (stored.size === 0) return thrown;
  const error = toStainError(thrown);
  const base = stored.has(instances[0]!.sopInstanceUid) ? '' : ', its base level is not';
  return new StainError(
    error.code,
    `${error.message} ${stored.size} of ${instances.length} instances of the series are in the archive${base}; the same request completes it.`,
    {
      data: { ...error.data, stored: stored.size, instances: instances.length },
      cause: thrown,
      retry: error.retry,
    },
  );
}

/** SOP Instance UIDs of a series in the archive; empty if the archive does not know the series. */
export async function storedUids(
  { studyInstanceUid, seriesInstanceUid }: SeriesReference,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<Set<string>> {
  const parameters = { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: seriesInstanceUid };
  const found = await archive.searchInstances(parameters, signal);
  return new Set(found.flatMap((json) => textOf(json, '00080018') ?? []));
}

/** A series and the instances that it has when complete. */
export interface DerivedSeries extends SeriesReference {
  readonly instances: readonly { readonly sopInstanceUid: string }[];
}

/** Whether the archive lists every instance of a derived series. */
export async function isSeriesStored(
  result: DerivedSeries,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<boolean> {
  const there = await storedUids(result, archive, signal);
  return result.instances.every(({ sopInstanceUid }) => there.has(sopInstanceUid));
}

/**
 * A Series Number that no other series of the study has: one more than the largest, and more than the number of series
 * if the archive does not return them all. A retry finds its own series, stored in part, and keeps that number.
 */
export async function freeSeriesNumber(
  archive: DicomWebClient,
  studyInstanceUid: string,
  seriesInstanceUid: string,
  signal: AbortSignal,
): Promise<number> {
  const series = await archive.searchSeries(
    { StudyInstanceUID: studyInstanceUid, includefield: 'SeriesNumber' },
    signal,
  );
  const isOwn = (json: DicomJson): boolean => textOf(json, '0020000E') === seriesInstanceUid;
  const own = seriesNumber(series.find(isOwn));
  if (own !== undefined) return own;
  const others = series.filter((json) => !isOwn(json)).map(seriesNumber);
  const told = others.filter((number) => number !== undefined);
  return Math.max(0, ...told, told.length < others.length ? others.length : 0) + 1;
}

/** undefined if the number is missing or unusable. */
function seriesNumber(json: DicomJson | undefined): number | undefined {
  const number = json && numberOf(json, '00200011');
  const isOne = Number.isInteger(number) && number! >= 0 && number! < MAX_SERIES_NUMBER;
  return isOne ? number : undefined;
}
