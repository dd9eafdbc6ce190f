/** Stores the derived instances, one a request, base level last, and looks in the archive that they are there. */
import type { EncapsulatedInstance } from '../dicom/encapsulated-instance.ts';
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { ProgressTracker } from './progress.ts';

export async function storeSeries(
  instances: readonly { readonly instance: EncapsulatedInstance; readonly numberOfFrames: number }[],
  archive: DicomWebClient,
  progress: ProgressTracker,
  signal: AbortSignal,
): Promise<void> {
  const total = instances.reduce((sum, { instance }) => sum + instance.byteLength, 0);
  // The base level comes first in the list and goes last into the archive: a viewer never meets half a pyramid.
  const inOrder = [...instances].reverse();
  let done = 0;
  for (const { instance } of inOrder) {
    progress.report('store', done, total, 'bytes');
    await archive.storeInstance(instance.studyInstanceUid, instance, signal);
    done += instance.byteLength;
  }
  progress.report('store', total, total, 'bytes');
  for (const [i, { instance, numberOfFrames }] of inOrder.entries()) {
    progress.report('verify', i, inOrder.length, 'instances');
    await archive.verifyInstance(
      instance.studyInstanceUid,
      instance.seriesInstanceUid,
      instance.sopInstanceUid,
      { numberOfFrames },
      signal,
    );
  }
  progress.report('verify', inOrder.length, inOrder.length, 'instances');
}

/** A Series Number that no series of the study has: one more than the largest. */
export async function freeSeriesNumber(
  archive: DicomWebClient,
  studyInstanceUid: string,
  signal: AbortSignal,
): Promise<number> {
  const series = await archive.searchSeries(
    { StudyInstanceUID: studyInstanceUid, includefield: 'SeriesNumber' },
    signal,
  );
  const numbers = series.map((json) => Number(json['00200011']?.Value?.[0] ?? 0)).filter(Number.isFinite);
  return Math.max(0, ...numbers) + 1;
}
