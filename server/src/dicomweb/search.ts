/**
 * QIDO-RS with paging: archives truncate at limits of their own, so pages are fetched until one is empty or the last.
 */

import { StainError } from '../../../core/src/errors.ts';
import { type DicomJson, textOf } from '../dicom/json-model.ts';
import { isUid } from '../dicom/uid.ts';
import type { Habits, OtherWays } from './archive-habits.ts';
import type { ArchiveConnection, JsonAnswer } from './connection.ts';
import { isNotFound, NO_MATCH, requireNoMatch, type SearchLevel } from './no-match.ts';
import { seriesPath, studyPath } from './resource-path.ts';

/** Query parameters by keyword or tag; a list is sent as repeated parameters. */
export interface SearchParameters {
  readonly [name: string]: string | number | readonly string[] | undefined;
}

export interface SearchLimits {
  /** Results per page. */
  readonly pageSize: number;
  /** For one response, and for all pages of a search together. */
  readonly maxMetadataBytes: number;
}

export interface SearchOptions {
  /** Once there are more results than this, no further pages are requested. */
  readonly maxResults?: number;
  /** Called once with the number of results dropped because they have no valid UID. */
  onLeftOut?(count: number): void;
}

/** The UIDs that identify results of a level, from the top down. */
const UIDS = [
  { level: 'studies', keyword: 'StudyInstanceUID', tag: '0020000D' },
  { level: 'series', keyword: 'SeriesInstanceUID', tag: '0020000E' },
  { level: 'instances', keyword: 'SOPInstanceUID', tag: '00080018' },
] as const;

/** Attributes that are matched exactly (PS3.4 C.2.2.2.1), used in every search for slides. */
const EXACT = [...UIDS, { keyword: 'Modality', tag: '00080060' }] as const;

/** Page size for archives that refuse more: Microsoft's answers 400 to a larger limit. */
const SMALL_PAGE = 200;

/** Statuses that may be caused by an unsupported parameter. */
const REFUSALS: ReadonlySet<number> = new Set([400, 422, 501]);

/** Maximum number of results of all pages, which are held in memory together. */
const MAX_RESULTS = 250_000;

/**
 * UIDs of results become parts of URLs and names, so a result with an invalid UID is dropped: it is useless, and must
 * not make the whole search fail. Some archives match only UIDs and return CT in a search for slides: results that say
 * themselves that they do not match are dropped here.
 * @throws whatever the connection throws; PAYLOAD_TOO_LARGE
 */
export async function search(
  connection: ArchiveConnection,
  level: SearchLevel,
  parameters: SearchParameters,
  limits: SearchLimits,
  signal: AbortSignal,
  { maxResults, onLeftOut = () => {} }: SearchOptions = {},
): Promise<DicomJson[]> {
  const { path, query } = address(level, parameters);
  const tell = (count: number): void => {
    if (count > 0) onLeftOut(count);
  };
  const page = (at: URLSearchParams): Promise<JsonAnswer> =>
    pageOrNone(connection, { path, query: at }, level, limits.maxMetadataBytes, signal);
  const isWanted = (item: DicomJson): boolean => {
    const isOne = isAskedFor(item, parameters);
    if (!isOne) connection.habits.learn({ filters: false });
    return isOne;
  };
  if (query.has('limit') || query.has('offset')) {
    return connection.habits.ask(
      async (habits) => {
        const { items } = await page(asTaken(query, habits));
        const valid = items.filter((item) => hasValidUids(item, level, parameters));
        tell(items.length - valid.length);
        const matching = valid.filter(isWanted);
        return habits.paging === 'none' ? slice(matching, query) : matching;
      },
      otherWays(query, ['usual', 'none']),
    );
  }

  const pageFrom = (offset: number): Promise<Page> =>
    connection.habits.ask(
      async (habits) => {
        const size = pageSize(habits, limits);
        const answer = await page(asTaken(withPage(query, size, offset), habits));
        const isShort = answer.items.length < size && !answer.hasMore;
        return { ...answer, isLast: habits.paging === 'none' || isShort };
      },
      otherWays(query, limits.pageSize > SMALL_PAGE ? ['usual', 'small', 'none'] : ['usual', 'none']),
    );

  const seen = new Set<string>();
  const found = new Map<string, DicomJson>();
  let [leftOut, held] = [0, 0];
  for (let offset = 0; ; ) {
    const { items, bytes, hasMore, isLast } = await pageFrom(offset);
    const before = seen.size;
    const valid = items.filter((item) => hasValidUids(item, level, parameters));
    for (const item of valid) {
      const key = keyOf(item, level);
      seen.add(key);
      if (isWanted(item)) found.set(key, item);
    }
    offset += items.length;
    held += bytes;
    if (offset > MAX_RESULTS || held > limits.maxMetadataBytes)
      throw new StainError(
        'PAYLOAD_TOO_LARGE',
        `The archive answered a search for ${level} with more than ${MAX_RESULTS} results or ${limits.maxMetadataBytes} bytes; narrow the search.`,
      );
    // Nothing new: the archive does not support `offset` and would send the first page for ever.
    const isEnough = maxResults !== undefined && found.size > maxResults;
    const isKnown = valid.length > 0 && seen.size === before;
    if (!isKnown) leftOut += items.length - valid.length;
    if (isLast && hasMore && !isEnough)
      throw new StainError(
        'ARCHIVE_LACKING',
        `The archive returns only some of the matching ${level}, and does not support limit and offset to request the rest.`,
      );
    if (items.length === 0 || isLast || isEnough || isKnown) {
      tell(leftOut);
      return [...found.values()];
    }
  }
}

interface Page extends JsonAnswer {
  readonly isLast: boolean;
}

/** A study that the archive does not know has no series: that is a result, and so is a page after the last one. */
async function pageOrNone(
  connection: ArchiveConnection,
  request: { readonly path: readonly string[]; readonly query: URLSearchParams },
  level: SearchLevel,
  maxBytes: number,
  signal: AbortSignal,
): Promise<JsonAnswer> {
  try {
    return await connection.getJson(request, maxBytes, signal);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const isWhole = request.path.length === 1 && !Number(request.query.get('offset'));
    if (isWhole) await requireNoMatch(connection, level, maxBytes, signal);
    return NO_MATCH;
  }
}

function pageSize({ paging }: Habits, limits: SearchLimits): number {
  return paging === 'small' ? Math.min(SMALL_PAGE, limits.pageSize) : limits.pageSize;
}

/** The query without the parameters that the archive refuses. */
function asTaken(query: URLSearchParams, { paging, includefield }: Habits): URLSearchParams {
  const taken = new URLSearchParams(query);
  if (!includefield) taken.delete('includefield');
  if (paging === 'none') for (const name of ['limit', 'offset']) taken.delete(name);
  return taken;
}

/** Alternatives: without the attributes to return, with other pages, and both. */
function otherWays(query: URLSearchParams, pagings: readonly Habits['paging'][]): OtherWays {
  return {
    refusals: REFUSALS,
    ways({ paging, includefield }) {
      const fields = query.has('includefield') ? [includefield, !includefield] : [includefield];
      const isKnown = (other: Habits['paging']): boolean =>
        other === paging || (other === 'usual' && !pagings.includes(paging));
      const others = pagings.filter((other) => !isKnown(other));
      return [paging, ...others]
        .flatMap((one) => fields.map((field) => ({ paging: one, includefield: field })))
        .slice(1);
    },
    lacks: '',
  };
}

/** What the archive would have returned with `limit` and `offset`. */
function slice(items: DicomJson[], query: URLSearchParams): DicomJson[] {
  const start = Number(query.get('offset') ?? 0);
  return items.slice(start, start + Number(query.get('limit') ?? Number.POSITIVE_INFINITY));
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
  // Archives that do not support it are asked for one page without it.
  if (offset > 0) page.set('offset', String(offset));
  return page;
}

/** The UIDs of a result from the top down, because converters give slides in different studies one Series UID. */
function keyOf(item: DicomJson, level: SearchLevel): string {
  const own = UIDS.findIndex((uid) => uid.level === level);
  return UIDS.slice(0, own + 1)
    .map(({ tag }) => textOf(item, tag) ?? '')
    .join(' ');
}

/**
 * The UIDs of the levels above must be present unless the search names them; other attributes may be absent or empty.
 */
function hasValidUids(item: DicomJson, level: SearchLevel, parameters: SearchParameters): boolean {
  const own = UIDS.findIndex((uid) => uid.level === level);
  return UIDS.every(({ keyword, tag }, i) => {
    const mayBeAbsent = i > own || (i < own && typeof parameters[keyword] === 'string');
    return (mayBeAbsent && isEmpty(item[tag])) || isUid(textOf(item, tag));
  });
}

/** An attribute that a result omits counts as a match. */
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
