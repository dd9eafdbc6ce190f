/** Studies with slides, as the archive lists them (QIDO-RS). */
import type { BatchSeries } from '../../../core/src/contract/index.ts';
import type { ServiceClient } from '../service/service-client.ts';

export interface StudyRow {
  readonly studyInstanceUid: string;
  readonly patientName: string;
  readonly patientId: string;
  /** DA: 20261126. */
  readonly date: string;
  readonly description: string;
  readonly accessionNumber: string;
}

/** What the user looks for, by keyword; empty finds all. */
export const SEARCHED = [
  'PatientName',
  'PatientID',
  'AccessionNumber',
  'StudyDescription',
  'StudyDate',
] as const;
export type StudyQuery = Partial<Record<(typeof SEARCHED)[number], string>>;

export interface StudyPage {
  readonly rows: readonly StudyRow[];
  readonly hasMore: boolean;
}

export const PAGE_SIZE = 50;

/** Attributes that an archive need not return unless it is asked (PS3.18 table 10.6.3-3). */
const SHOWN = ['StudyDescription', 'ModalitiesInStudy'];
const TAGS = {
  studyInstanceUid: '0020000D',
  patientName: '00100010',
  patientId: '00100020',
  date: '00080020',
  description: '00081030',
  accessionNumber: '00080050',
} as const satisfies Record<keyof StudyRow, string>;
const MODALITIES = '00080061';

type Item = Readonly<Record<string, { readonly Value?: readonly unknown[] } | undefined>>;

export async function searchStudies(
  client: Pick<ServiceClient, 'search'>,
  query: StudyQuery,
  offset: number,
  signal: AbortSignal,
): Promise<StudyPage> {
  const parameters = new URLSearchParams({ ModalitiesInStudy: 'SM' });
  for (const keyword of SEARCHED) {
    const value = query[keyword]?.trim();
    // Dates are ranges and identifiers are exact; of everything else a part is enough.
    if (value) parameters.set(keyword, PARTIAL.has(keyword) ? `*${value}*` : value);
  }
  for (const name of SHOWN) parameters.append('includefield', name);
  parameters.set('limit', String(PAGE_SIZE + 1));
  parameters.set('offset', String(offset));
  const found = await client.search(`studies?${parameters}`, signal);
  const withSlides = (found as readonly Item[]).slice(0, PAGE_SIZE).filter(maySlides);
  return { rows: withSlides.map(rowOf), hasMore: found.length > PAGE_SIZE };
}

/** One study, to name what is known by its UID. */
export async function findStudy(
  client: Pick<ServiceClient, 'search'>,
  studyInstanceUid: string,
  signal: AbortSignal,
): Promise<StudyRow | undefined> {
  const parameters = new URLSearchParams({
    StudyInstanceUID: studyInstanceUid,
    includefield: 'StudyDescription',
  });
  const [item] = await client.search(`studies?${parameters}`, signal);
  return item && rowOf(item as Item);
}

/** Names a slide of a report: two studies may have series with one UID. */
export function slideKey(slide: Pick<BatchSeries, 'studyInstanceUid' | 'seriesInstanceUid'>): string {
  return `${slide.studyInstanceUid} ${slide.seriesInstanceUid}`;
}

/** Series Description of the slides of a study, by `slideKey`. */
export async function findSlides(
  client: Pick<ServiceClient, 'search'>,
  studyInstanceUid: string,
  signal: AbortSignal,
): Promise<[string, string][]> {
  const parameters = new URLSearchParams({ Modality: 'SM', includefield: 'SeriesDescription' });
  const found = await client.search(`studies/${studyInstanceUid}/series?${parameters}`, signal);
  return (found as readonly Item[]).map((item) => [
    slideKey({ studyInstanceUid, seriesInstanceUid: textOf(item, '0020000E') }),
    textOf(item, '0008103E'),
  ]);
}

const PARTIAL: ReadonlySet<string> = new Set(['PatientName', 'StudyDescription']);

/** Some archives do not match the modality, and say it. */
function maySlides(item: Item): boolean {
  const modalities = item[MODALITIES]?.Value;
  return modalities === undefined || modalities.includes('SM');
}

function rowOf(item: Item): StudyRow {
  return {
    studyInstanceUid: textOf(item, TAGS.studyInstanceUid),
    patientName: textOf(item, TAGS.patientName),
    patientId: textOf(item, TAGS.patientId),
    date: textOf(item, TAGS.date),
    description: textOf(item, TAGS.description),
    accessionNumber: textOf(item, TAGS.accessionNumber),
  };
}

function textOf(item: Item, tag: string): string {
  const value = item[tag]?.Value?.[0];
  if (value instanceof Object && 'Alphabetic' in value) return nameOf(String(value.Alphabetic));
  return value === undefined || value === null ? '' : String(value);
}

/** Components of a PN, of which family and given name come first (PS3.5 6.2.1). */
function nameOf(value: string): string {
  return value
    .split('^')
    .filter((part) => part.trim() !== '')
    .join(', ');
}
