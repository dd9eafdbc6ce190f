/** `reject`: rejects one derived series in an archive. */
import type { RejectionReason } from '../../../core/src/contract/index.ts';
import { type Rejection, rejectSeries } from '../pipeline/reject-series.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import { environmentOf } from '../wiring/archives.ts';
import type { Composition } from '../wiring/composition.ts';

export interface RejectArguments {
  /** Name, DICOMweb URL or folder. */
  readonly archive: string;
  readonly study: string;
  readonly series: string;
  readonly reason: RejectionReason;
}

/** @throws ARCHIVE_READ_ONLY, and whatever `rejectSeries` throws */
export async function rejectCommand(
  { archive: location, study, series, reason }: RejectArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<Rejection> {
  await using archive = await openArchiveLocation(location, composition.config, {
    create: false,
    stores: true,
  });
  const environment = environmentOf(composition, { source: archive, destination: archive });
  const reference = { studyInstanceUid: study, seriesInstanceUid: series };
  return await rejectSeries(reference, reason, environment, signal);
}

export function describeRejection({ seriesInstanceUid, instances, note }: Rejection): string {
  return note === null
    ? `Series ${seriesInstanceUid} was rejected before.`
    : `Series ${seriesInstanceUid} is rejected, all ${instances} instances, by the Key Object Selection ${note}.`;
}
