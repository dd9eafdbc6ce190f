/** `corrections`: lists derived series of a study that do not match their slides any more. */
import { isOurs } from '../derived/equipment.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { textOf } from '../dicom/json-model.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import { type Check, checkResult, headerOf } from '../results/check-result.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import type { Composition } from '../wiring/composition.ts';

export interface CorrectionsArguments {
  /** Name, DICOMweb URL or folder. */
  readonly archive: string;
  readonly study: string;
  /** Of the slides, as `archive`. Default: the archive of the results. */
  readonly source?: string;
}

/**
 * Checks the results that are in the study; those of its slides that lie elsewhere are known to the service only. A
 * result does not say which archive its slide came from.
 */
export async function correctionsCommand(
  { archive: location, study, source: slides }: CorrectionsArguments,
  { config }: Composition,
  signal: AbortSignal,
): Promise<Check[]> {
  await using open = new AsyncDisposableStack();
  const at = async (place: string) =>
    open.use(await openArchiveLocation(place, config, { create: false })).client;
  const client = await at(location);
  const archives = { source: slides === undefined ? client : await at(slides), destination: client };
  const found = await client.searchSeries({ StudyInstanceUID: study, Modality: 'SM' }, signal);
  const checks: Check[] = [];
  for (const json of found) {
    const seriesInstanceUid = textOf(json, '0020000E');
    if (seriesInstanceUid === undefined) continue;
    const series = { studyInstanceUid: study, seriesInstanceUid };
    const source = sourceOf((await headerOf(series, client, signal))?.header);
    if (source) checks.push(await checkResult({ series, source }, archives, signal));
  }
  return checks;
}

/** The slide that a result names; undefined if the series is no result of this product. */
function sourceOf(header: DataSet | undefined): SeriesReference | undefined {
  // The source is the last of them (derived/derivation.ts).
  const related = header && isOurs(header) ? header.items('RelatedSeriesSequence').at(-1) : undefined;
  const studyInstanceUid = related?.string('StudyInstanceUID');
  const seriesInstanceUid = related?.string('SeriesInstanceUID');
  return studyInstanceUid === undefined || seriesInstanceUid === undefined
    ? undefined
    : { studyInstanceUid, seriesInstanceUid };
}

export function describeCorrections(checks: readonly Check[]): string {
  if (checks.length === 0) return 'The study has no results of this product.';
  return checks
    .map(
      ({ series, state, differs }) =>
        `${state.padEnd(11)}  ${series.seriesInstanceUid}  ${differs.join(' ')}`,
    )
    .join('\n');
}
