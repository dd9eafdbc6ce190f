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
  // The base level comes first in the list and goes last into the archive: a viewer never meets half a pyramid.
  const inOrder = [...instances].reverse();
  // An earlier attempt may have stored some of them.
  const there = await storedUids(instances[0]!, archive, signal);
  let done = 0;
  let stored = 0;
  for (const instance of inOrder) {
    progress.report('store', done, total, 'bytes');
    try {
      if (!there.has(instance.sopInstanceUid))
        await archive.storeInstance(instance.studyInstanceUid, instance, signal);
    } catch (error) {
      throw stored + there.size > 0 ? storedInPart(error, stored, instances.length) : error;
    }
    stored++;
    done += instance.byteLength;
  }
  progress.report('store', total, total, 'bytes');
  for (const [i, instance] of inOrder.entries()) {
    progress.report('verify', i, inOrder.length, 'instances');
    await archive.verifyInstance(
      instance.studyInstanceUid,
      instance.seriesInstanceUid,
      instance.sopInstanceUid,
      { numberOfFrames: instance.numberOfFrames },
      signal,
    );
  }
  progress.report('verify', inOrder.length, inOrder.length, 'instances');
}

/** Says with the error that the archive holds a part of the series. */
function storedInPart(thrown: unknown, stored: number, instances: number): StainError {
  const error = toStainError(thrown);
  const told = new StainError(
    error.code,
    `${error.message} ${stored} of ${instances} instances of the series are in the archive, its base level is not; the same request completes it.`,
    { data: { ...error.data, stored, instances }, cause: thrown },
  );
  return isPassing(error) ? passing(told) : told;
}

/** SOP Instance UIDs that the archive shows of a series. */
async function storedUids(
  series: { readonly studyInstanceUid: string; readonly seriesInstanceUid: string },
  archive: DicomWebClient,
  signal: AbortSignal,
): Promise<ReadonlySet<string | undefined>> {
  const { studyInstanceUid, seriesInstanceUid } = series;
  const found = await archive.searchInstances(
    { StudyInstanceUID: studyInstanceUid, SeriesInstanceUID: seriesInstanceUid },
    signal,
  );
  return new Set(found.map((json) => textOf(json, '00080018')));
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
