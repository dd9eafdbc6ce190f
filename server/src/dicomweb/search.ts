/** QIDO-RS with paging: archives cut off at limits of their own, so pages are fetched until one is empty or last. */
import { isUid } from '../dicom/uid.ts';
import { StainError } from '../errors.ts';
import type { ArchiveConnection } from './connection.ts';
import { type DicomJson, textOf } from './dicom-json.ts';
import { seriesPath, studyPath } from './resource-path.ts';

/** Query parameters by keyword or tag; a list is sent as repeated parameters. */
export interface SearchParameters {
  readonly [name: string]: string | number | readonly string[] | undefined;
}

export interface SearchLimits {
  /** Results asked for in one page; less once the archive has refused so many. */
  pageSize: number;
  /** Of one answer, and of the pages of a search together. */
  readonly maxMetadataBytes: number;
}

export interface SearchOptions {
  /** No more pages are asked for when there are more results than this. */
  readonly mostResults?: number;
  /** Hears once how many results have no UID, or one that is none: they are left out. */
  onLeftOut?(count: number): void;
}

export type SearchLevel = 'studies' | 'series' | 'instances';

/** The UIDs that tell results of a level apart, from above. */
const UIDS = [
  { level: 'studies', keyword: 'StudyInstanceUID', tag: '0020000D' },
  { level: 'series', keyword: 'SeriesInstanceUID', tag: '0020000E' },
  { level: 'instances', keyword: 'SOPInstanceUID', tag: '00080018' },
] as const;

/** Attributes that are matched as they are (PS3.4 C.2.2.2.1), with which every search for slides is narrowed. */
const EXACT = [...UIDS, { keyword: 'Modality', tag: '00080060' }] as const;

/** Asked for where an archive refuses more: Microsoft's gives 400 to a limit above it. */
const SMALL_PAGE = 200;

/** Results of all pages, which are held together. */
const MAX_RESULTS = 250_000;

/**
 * UIDs of results become parts of addresses and names, so a result with one that is none is left out: it is of no use to
 * anybody, and must not take the others with it. Archives are known to search by UIDs alone and answer CT to a search for
 * slides: what says itself that it is not what was asked for is dropped here.
 * @throws what the connection throws; PAYLOAD_TOO_LARGE
 */
export async function search(
  connection: ArchiveConnection,
  level: SearchLevel,
  parameters: SearchParameters,
  limits: SearchLimits,
  signal: AbortSignal,
  { mostResults, onLeftOut = () => {} }: SearchOptions = {},
): Promise<DicomJson[]> {
  const { path, query } = address(level, parameters);
  const { tag } = UIDS.find((uid) => uid.level === level)!;
  const tell = (count: number): void => {
    if (count > 0) onLeftOut(count);
  };
  const page = (at: URLSearchParams): ReturnType<ArchiveConnection['getJson']> =>
    connection.getJson(
      { path, query: at, notFound: level === 'studies' ? 'NOT_FOUND' : 'SERIES_NOT_FOUND' },
      limits.maxMetadataBytes,
      signal,
    );
  if (query.has('limit') || query.has('offset')) {
    const { items } = await page(query);
    const valid = items.filter((item) => hasValidUids(item, level, parameters));
    tell(items.length - valid.length);
    return valid.filter((item) => isAskedFor(item, parameters));
  }

  const pageFrom = async (offset: number): ReturnType<typeof page> => {
    try {
      return await page(withPage(query, limits.pageSize, offset));
    } catch (error) {
      const isRefused = error instanceof StainError && error.data.status === 400;
      if (!isRefused || limits.pageSize <= SMALL_PAGE) throw error;
      const found = await page(withPage(query, SMALL_PAGE, offset));
      limits.pageSize = SMALL_PAGE;
      return found;
    }
  };

  const seen = new Set<string>();
  const found = new Map<string, DicomJson>();
  let [leftOut, held] = [0, 0];
  for (let offset = 0; ; ) {
    const { items, bytes, hasMore } = await pageFrom(offset);
    const before = seen.size;
    const valid = items.filter((item) => hasValidUids(item, level, parameters));
    for (const item of valid) {
      const uid = textOf(item, tag)!;
      seen.add(uid);
      if (isAskedFor(item, parameters)) found.set(uid, item);
    }
    offset += items.length;
    held += bytes;
    if (offset > MAX_RESULTS || held > limits.maxMetadataBytes)
      throw new StainError(
        'PAYLOAD_TOO_LARGE',
        `The archive answers a search for ${level} with more than ${MAX_RESULTS} results or ${limits.maxMetadataBytes} bytes; narrow it.`,
      );
    // Nothing new: the archive does not know `offset` and sends the first page for ever.
    const isEnough = mostResults !== undefined && found.size > mostResults;
    const isKnown = valid.length > 0 && seen.size === before;
    if (!isKnown) leftOut += items.length - valid.length;
    const isLast = items.length === 0 || (items.length < limits.pageSize && !hasMore);
    if (isLast || isEnough || isKnown) {
      tell(leftOut);
      return [...found.values()];
    }
  }
}

function address(
  level: SearchLevel,
  parameters: SearchParameters,
): { path: string[]; query: URLSearchParams } {
  const { StudyInstanceUID: study, SeriesInstanceUID: series } = parameters;
  const inStudy = level !== 'studies' && typeof study === 'string';
  const inSeries = level === 'instances' && inStudy && typeof series === 'string';
  const above = inSeries
    ? seriesPath({ studyUid: study, seriesUid: series })
    : inStudy
      ? studyPath(study)
      : [];
  const path = [...above, level];
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

/** Those that lead to it must be there, unless the search names them; the others may be absent or empty. */
function hasValidUids(item: DicomJson, level: SearchLevel, parameters: SearchParameters): boolean {
  const own = UIDS.findIndex((uid) => uid.level === level);
  return UIDS.every(({ keyword, tag }, i) => {
    const mayBeAbsent = i > own || (i < own && typeof parameters[keyword] === 'string');
    return (mayBeAbsent && isEmpty(item[tag])) || isUid(textOf(item, tag));
  });
}

/** What a result leaves out is believed. */
function isAskedFor(item: DicomJson, parameters: SearchParameters): boolean {
  return EXACT.every(({ keyword, tag }) => {
    const asked = parameters[keyword];
    const told = textOf(item, tag)?.trim();
    if (typeof asked !== 'string' || /[*?]/.test(asked) || !told) return true;
    // A list of UIDs (PS3.18 8.3.4.1).
    return asked.split(/[,\\]/).includes(told);
  });
}

function isEmpty(element: unknown): boolean {
  if (element === undefined) return true;
  const value = (element as { Value?: unknown } | null)?.Value;
  return value === undefined || (Array.isArray(value) && value.every((one) => one === null));
}
