/** QIDO-RS with paging: archives cut off at limits of their own, so pages are fetched until one is empty or last. */
import { StainError } from '../errors.ts';
import type { ArchiveConnection } from './connection.ts';
import { type DicomJson, textOf } from './dicom-json.ts';

/** Query parameters by keyword or tag; a list is sent as repeated parameters. */
export interface SearchParameters {
  readonly [name: string]: string | number | readonly string[] | undefined;
}

export interface SearchLimits {
  readonly pageSize: number;
  readonly maxMetadataBytes: number;
  /** No more pages are asked for when there are more results than this. */
  readonly mostResults?: number | undefined;
}

export type SearchLevel = 'studies' | 'series' | 'instances';

/** The UID that tells results of a level apart. */
const IDENTITY = { studies: '0020000D', series: '0020000E', instances: '00080018' } as const;

/** Results of all pages, which are held together. */
const MAX_RESULTS = 250_000;

/** @throws what the connection throws; ARCHIVE_PROTOCOL for results without their UID; PAYLOAD_TOO_LARGE */
export async function search(
  connection: ArchiveConnection,
  level: SearchLevel,
  parameters: SearchParameters,
  limits: SearchLimits,
  signal: AbortSignal,
): Promise<DicomJson[]> {
  const { path, query } = address(level, parameters);
  const page = (at: URLSearchParams): Promise<{ items: DicomJson[]; hasMore: boolean }> =>
    connection.getJson(
      { path, query: at, notFound: level === 'studies' ? 'NOT_FOUND' : 'SERIES_NOT_FOUND' },
      limits.maxMetadataBytes,
      signal,
    );
  if (query.has('limit') || query.has('offset')) return (await page(query)).items;

  const found = new Map<string, DicomJson>();
  for (let offset = 0; ; ) {
    const { items, hasMore } = await page(withPage(query, limits.pageSize, offset));
    const before = found.size;
    for (const item of items) found.set(identity(item, level), item);
    offset += items.length;
    const isLast = items.length < limits.pageSize && !hasMore;
    if (found.size > MAX_RESULTS)
      throw new StainError(
        'PAYLOAD_TOO_LARGE',
        `The archive answers a search for ${level} with more than ${MAX_RESULTS} results; narrow it.`,
      );
    // Nothing new: the archive does not know `offset` and sends the first page for ever.
    const isEnough = limits.mostResults !== undefined && found.size > limits.mostResults;
    if (isLast || isEnough || found.size === before) return [...found.values()];
  }
}

function address(
  level: SearchLevel,
  parameters: SearchParameters,
): { path: string[]; query: URLSearchParams } {
  const { StudyInstanceUID: study, SeriesInstanceUID: series } = parameters;
  const inStudy = level !== 'studies' && typeof study === 'string';
  const inSeries = level === 'instances' && inStudy && typeof series === 'string';
  const path = [...(inStudy ? ['studies', study] : []), ...(inSeries ? ['series', series] : []), level];
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (
      value === undefined ||
      (inStudy && name === 'StudyInstanceUID') ||
      (inSeries && name === 'SeriesInstanceUID')
    )
      continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  return { path, query };
}

function withPage(query: URLSearchParams, limit: number, offset: number): URLSearchParams {
  const page = new URLSearchParams(query);
  page.set('limit', String(limit));
  page.set('offset', String(offset));
  return page;
}

function identity(item: DicomJson, level: SearchLevel): string {
  const uid = textOf(item, IDENTITY[level]);
  if (uid === undefined)
    throw new StainError(
      'ARCHIVE_PROTOCOL',
      `The archive answered a search for ${level} with a result without its UID.`,
    );
  return uid;
}
