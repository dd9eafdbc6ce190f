/** QIDO-RS with paging: archives cut off at limits of their own, so pages are fetched until one is empty or last. */
import { isUid } from '../dicom/uid.ts';
import { StainError } from '../errors.ts';
import type { Habits, OtherWays } from './archive-habits.ts';
import type { ArchiveConnection, JsonAnswer } from './connection.ts';
import { type DicomJson, textOf } from './dicom-json.ts';
import { isNotFound, NO_MATCH, requireNoMatch, type SearchLevel } from './no-match.ts';
import { seriesPath, studyPath } from './resource-path.ts';

/** Query parameters by keyword or tag; a list is sent as repeated parameters. */
export interface SearchParameters {
  readonly [name: string]: string | number | readonly string[] | undefined;
}

export interface SearchLimits {
  /** Results asked for in one page. */
  readonly pageSize: number;
  /** Of one answer, and of the pages of a search together. */
  readonly maxMetadataBytes: number;
}

export interface SearchOptions {
  /** No more pages are asked for when there are more results than this. */
  readonly mostResults?: number;
  /** Hears once how many results have no UID, or one that is none: they are left out. */
  onLeftOut?(count: number): void;
}

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

/** Statuses that may be about a parameter that the archive does not take. */
const REFUSALS: ReadonlySet<number> = new Set([400, 422, 501]);

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
      const uid = textOf(item, tag)!;
      seen.add(uid);
      if (isWanted(item)) found.set(uid, item);
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
    if (isLast && hasMore && !isEnough)
      throw new StainError(
        'ARCHIVE_LACKING',
        `The archive gives a part of the ${level} that match and takes no limit and offset, with which to ask for the others.`,
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

/** A study that the archive does not know has no series: an answer, as is a page behind the last one. */
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

/** Without the attributes that were to be told, with other pages, and both. */
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

/** What the archive would have given, had it taken `limit` and `offset`. */
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
  // Archives that do not know it are asked for one page without it.
  if (offset > 0) page.set('offset', String(offset));
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
