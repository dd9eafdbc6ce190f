/** Stores the derived instances, one a request, base level last, and looks in the archive that they are there. */
import type { EncapsulatedInstance } from '../dicom/encapsulated-instance.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import { type DicomJson, numberOf, textOf } from '../dicomweb/dicom-json.ts';
import { isPassing, passing } from '../dicomweb/retry.ts';
import { StainError, toStainError } from '../errors.ts';
import type { ProgressTracker } from './progress.ts';
import type { NormalizationResult } from './types.ts';

export async function storeSeries(
  instances: readonly EncapsulatedInstance[],
  archive: DicomWebClient,
  maxInstanceBytes: number,
  progress: ProgressTracker,
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
  const stored = new Set(await storedUids(base, archive, signal));
  let done = 0;
  const store = async (instance: EncapsulatedInstance): Promise<void> => {
    progress.report('store', done, total, 'bytes');
    if (!stored.has(instance.sopInstanceUid))
      await archive.storeInstance(instance.studyInstanceUid, instance, signal);
    stored.add(instance.sopInstanceUid);
    done += instance.byteLength;
  };
  const verify = ({
    studyInstanceUid,
    seriesInstanceUid,
    sopInstanceUid,
    numberOfFrames,
  }: EncapsulatedInstance) =>
    archive.verifyInstance(studyInstanceUid, seriesInstanceUid, sopInstanceUid, { numberOfFrames }, signal);
  try {
    // The base level goes last, when the archive shows all others: a viewer never meets half a pyramid.
    for (const instance of others.reverse()) await store(instance);
    for (const instance of others) await verify(instance);
    await store(base);
    progress.report('verify', others.length, instances.length, 'instances');
    await verify(base);
    progress.report('verify', instances.length, instances.length, 'instances');
  } catch (error) {
    throw await toldInPart(error, instances, stored, archive, signal);
  }
}

/** Says with the error how much of the series the archive holds. @param stored what it is known to have taken */
async function toldInPart(
  thrown: unknown,
  instances: readonly EncapsulatedInstance[],
  stored: ReadonlySet<string>,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<unknown> {
  const error = toStainError(thrown);
  // An archive that says one thing and shows another: what it shows counts.
  const there =
    error.code === 'STORE_UNVERIFIED'
      ? await storedUids(instances[0]!, archive, signal).catch(() => stored)
      : stored;
  const count = instances.filter(({ sopInstanceUid }) => there.has(sopInstanceUid)).length;
  if (count === 0) return thrown;
  const base = there.has(instances[0]!.sopInstanceUid) ? '' : ', its base level is not';
  const told = new StainError(
    error.code,
    `${error.message} ${count} of ${instances.length} instances of the series are in the archive${base}; the same request completes it.`,
    { data: { ...error.data, stored: count, instances: instances.length }, cause: thrown },
  );
  return isPassing(error) ? passing(told) : told;
}

/** SOP Instance UIDs that the archive shows of a series. */
async function storedUids(
  series: { readonly studyInstanceUid: string; readonly seriesInstanceUid: string },
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const { studyInstanceUid, seriesInstanceUid } = series;
  const found = await archive.searchInstances(
    { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: seriesInstanceUid },
    signal,
  );
  return new Set(found.flatMap((json) => textOf(json, '00080018') ?? []));
}

/** Whether the archive shows every instance of a derived series. */
export async function isSeriesStored(
  result: NormalizationResult,
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<boolean> {
  const there = await storedUids(result, archive, signal);
  return result.instances.every(({ sopInstanceUid }) => there.has(sopInstanceUid));
}

/**
 * A Series Number that no other series of the study has: one more than the largest. A retry finds its own series,
 * stored in part, and keeps that number.
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
  const seriesNumber = (json: DicomJson): number => numberOf(json, '00200011') ?? 0;
  const own = series.find((json) => textOf(json, '0020000E') === seriesInstanceUid);
  return own ? seriesNumber(own) : Math.max(0, ...series.map(seriesNumber)) + 1;
}
