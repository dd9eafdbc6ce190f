/** What the archive says of series that rules may take up. */
import { withDeadline } from '../../../core/src/abortable.ts';
import { StainError } from '../../../core/src/errors.ts';
import { isListedAsOurs, LISTED_EQUIPMENT } from '../derived/equipment.ts';
import { tagOf } from '../dicom/dictionary.ts';
import { type DicomJson, numberOf, textOf } from '../dicom/json-model.ts';
import { toDicomJson } from '../dicom/to-json.ts';
import type { DicomWebClient, SearchParameters } from '../dicomweb/client.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import type { HeaderFacts } from './match.ts';
import type { Rule } from './rule.ts';

/** Distinguishes results of this product; how a series grows; when a rule with `since` begins. */
const ALWAYS = [...LISTED_EQUIPMENT, 'NumberOfSeriesRelatedInstances', 'StudyDate'];

const DEADLINE = {
  seconds: 60,
  late: () =>
    new StainError('ARCHIVE_TIMEOUT', 'The archive did not finish the search for new slides in time.'),
};

/** A whole-slide series in the archive that this product did not make, as far as the archive tells. */
export interface Arrival extends SeriesReference {
  /** YYYYMMDD; undefined if the archive does not tell. */
  readonly studyDate: string | undefined;
  /** Number of instances; undefined if the archive does not tell. */
  readonly instances: number | undefined;
  readonly json: DicomJson;
}

/** Tags of all attributes that rules compare. */
export function tagsOf(rules: readonly Pick<Rule, 'match'>[]): string[] {
  return [...new Set(rules.flatMap(({ match }) => match.map(({ tag }) => tag)))];
}

/**
 * Every whole-slide series that a search finds, each once, without results of this product.
 * @throws ARCHIVE_TIMEOUT and the errors of searches
 */
export async function searchArrivals(
  client: Pick<DicomWebClient, 'searchSeries'>,
  parameters: SearchParameters,
  rules: readonly Rule[],
  signal: AbortSignal,
): Promise<Arrival[]> {
  const includefield = [...new Set([...ALWAYS.map(tagOf), ...tagsOf(rules)])];
  const found = await withDeadline(DEADLINE, signal, (inTime) =>
    client.searchSeries({ Modality: 'SM', ...parameters, includefield }, inTime),
  );
  const arrivals = found.filter((json) => !isListedAsOurs(json)).map((json) => arrivalOf(json, parameters));
  return [...new Map(arrivals.map((one) => [keyOf(one), one])).values()];
}

export function keyOf({ studyInstanceUid, seriesInstanceUid }: SeriesReference): string {
  return `${studyInstanceUid} ${seriesInstanceUid}`;
}

/**
 * What the header of an instance of the series says of these attributes.
 * @throws SERIES_NOT_FOUND, ARCHIVE_TIMEOUT and the errors of searches
 */
export async function readHeader(
  client: Pick<DicomWebClient, 'searchInstances' | 'retrieveHeader'>,
  { studyInstanceUid: study, seriesInstanceUid: series }: SeriesReference,
  tags: readonly string[],
  signal: AbortSignal,
): Promise<HeaderFacts> {
  return withDeadline(DEADLINE, signal, async (inTime) => {
    const query = { StudyInstanceUID: study, SeriesInstanceUID: series, limit: 1 };
    const [instance] = await client.searchInstances(query, inTime);
    if (!instance) throw new StainError('SERIES_NOT_FOUND', 'The series is no longer in the archive.');
    const sopUid = textOf(instance, tagOf('SOPInstanceUID'))!;
    const { dataSet } = await client.retrieveHeader(study, series, sopUid, inTime);
    const told = toDicomJson(dataSet.filter(({ tag }) => tags.includes(tag)));
    return Object.fromEntries(tags.map((tag) => [tag, told[tag] ?? null]));
  });
}

function arrivalOf(json: DicomJson, { StudyInstanceUID }: SearchParameters): Arrival {
  const text = (keyword: string): string | undefined => textOf(json, tagOf(keyword));
  return {
    studyInstanceUid: text('StudyInstanceUID') ?? String(StudyInstanceUID),
    seriesInstanceUid: text('SeriesInstanceUID')!,
    studyDate: text('StudyDate'),
    instances: numberOf(json, tagOf('NumberOfSeriesRelatedInstances')),
    json,
  };
}
