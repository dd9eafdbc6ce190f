/** QIDO-RS (PS3.18 10.6): runs a query string on the index. */
import { setImmediate } from 'node:timers/promises';
import { StainError } from '../../../core/src/errors.ts';
import { entryOfTag } from '../dicom/dictionary.ts';
import { type DicomJson, type DicomJsonElement, numberOf, textOf } from '../dicom/json-model.ts';
import { INDEXED_TAGS, LEVEL_TAGS, type QueryLevel, TAG, tagOf } from './attributes.ts';
import type { FolderIndex, IndexedInstance } from './folder-index.ts';
import { matches, requireSensibleValue } from './matching.ts';

export interface Query {
  readonly filters: readonly { readonly tag: string; readonly value: string }[];
  readonly include: 'all' | ReadonlySet<string>;
  readonly limit: number;
  readonly offset: number;
  /** Parameters that are unknown or not indexed; they have no effect. */
  readonly ignored: readonly string[];
}

export interface Scope {
  readonly studyUid?: string;
  readonly seriesUid?: string;
}

export interface QueryResult {
  /** The page. `instance` represents the result if attributes beyond the index are requested. */
  readonly page: readonly { readonly json: DicomJson; readonly instance: IndexedInstance }[];
  readonly total: number;
}

const COMPUTED_TAGS: ReadonlySet<string> = new Set([
  TAG.ModalitiesInStudy,
  TAG.SOPClassesInStudy,
  TAG.NumberOfStudyRelatedSeries,
  TAG.NumberOfStudyRelatedInstances,
  TAG.NumberOfSeriesRelatedInstances,
]);
/** Attributes of a result itself. */
const OWN_TAGS: Readonly<Record<QueryLevel, ReadonlySet<string>>> = {
  studies: new Set(LEVEL_TAGS.studies),
  series: new Set([...LEVEL_TAGS.studies, ...LEVEL_TAGS.series]),
  instances: INDEXED_TAGS,
};
/** Results per response; a client requests the rest with `offset` (PS3.18 8.3.4.4), as the Warning says. */
export const MAX_RESULTS = 5000;
/** Maximum numbers of attributes to match, and to return. */
const MAX_FILTERS = 32;
const MAX_INCLUDED = 256;
/** Results compared before other requests get their turn: some milliseconds. */
const LOOKED_AT_ONCE = 500;

/** @throws REQUEST_INVALID for an invalid limit or offset, for values that are too long, and for too many of them */
export function parseQuery(parameters: URLSearchParams): Query {
  const filters: { tag: string; value: string }[] = [];
  const include = new Set<string>();
  const ignored: string[] = [];
  let all = false;
  for (const [name, value] of parameters) {
    if (name === 'limit' || name === 'offset') continue;
    if (name === 'includefield') {
      for (const field of value.split(',')) {
        const tag = tagOf(field.trim());
        if (field.trim() === 'all') all = true;
        else if (tag) include.add(tag);
        else if (field.trim() !== '') ignored.push(field.trim());
      }
      continue;
    }
    const tag = tagOf(name);
    if (tag !== undefined && (INDEXED_TAGS.has(tag) || COMPUTED_TAGS.has(tag))) {
      requireSensibleValue(name, value, entryOfTag(tag)?.vr);
      filters.push({ tag, value });
    } else if (name !== 'fuzzymatching' || value !== 'false') ignored.push(name);
  }
  if (filters.length > MAX_FILTERS || include.size > MAX_INCLUDED)
    throw new StainError(
      'REQUEST_INVALID',
      `A search can match at most ${MAX_FILTERS} attributes and include at most ${MAX_INCLUDED}.`,
    );
  return {
    filters,
    include: all ? 'all' : include,
    limit: Math.min(wholeNumber(parameters.get('limit'), 'limit') ?? MAX_RESULTS, MAX_RESULTS),
    offset: wholeNumber(parameters.get('offset'), 'offset') ?? 0,
    ignored,
  };
}

/**
 * Results in a stable order, so that pages are consistent: studies newest first, the rest by their numbers. Other
 * requests get their turn while a large index is searched.
 * @throws the reason of the signal
 */
export async function runQuery(
  index: FolderIndex,
  level: QueryLevel,
  scope: Scope,
  query: Query,
  baseUrl: string,
  signal: AbortSignal,
): Promise<QueryResult> {
  const matching: Found[] = [];
  let looked = 0;
  // A study or series also matches by what one instance in it says.
  const isBelow = ({ tag }: Query['filters'][number]): boolean =>
    INDEXED_TAGS.has(tag) && !OWN_TAGS[level].has(tag);
  const [own, below] = [query.filters.filter((filter) => !isBelow(filter)), query.filters.filter(isBelow)];
  const areMet = (filters: Query['filters'], json: DicomJson): boolean =>
    filters.every(({ tag, value }) => matches(json[tag], value));
  const look = async (json: DicomJson, instances: readonly IndexedInstance[]): Promise<void> => {
    if (areMet(own, json) && (below.length === 0 || instances.some((one) => areMet(below, one.json))))
      matching.push({ json, instance: firstOf(instances) });
    if (++looked % LOOKED_AT_ONCE === 0) await setImmediate(undefined, { signal });
  };
  for (const [studyUid, study] of index.studies) {
    if (scope.studyUid !== undefined && scope.studyUid !== studyUid) continue;
    const studyJson = describeStudy(study, `${baseUrl}/studies/${studyUid}`);
    if (level === 'studies') {
      await look(
        studyJson,
        [...study.values()].flatMap((series) => [...series.values()]),
      );
      continue;
    }
    for (const [seriesUid, series] of study) {
      if (scope.seriesUid !== undefined && scope.seriesUid !== seriesUid) continue;
      const seriesJson = {
        ...studyJson,
        ...describeSeries(series, `${baseUrl}/studies/${studyUid}/series/${seriesUid}`),
      };
      if (level === 'series') await look(seriesJson, [...series.values()]);
      else
        for (const instance of series.values()) {
          const url = `${baseUrl}/studies/${studyUid}/series/${seriesUid}/instances/${instance.sopUid}`;
          await look({ ...seriesJson, ...describeInstance(instance, url) }, [instance]);
        }
    }
  }
  matching.sort(ORDER[level]);
  return { page: matching.slice(query.offset, query.offset + query.limit), total: matching.length };
}

type Found = QueryResult['page'][number];

const ORDER: Readonly<Record<QueryLevel, (a: Found, b: Found) => number>> = {
  studies: (a, b) =>
    compare(dateOf(b.json), dateOf(a.json)) || compare(a.instance.studyUid, b.instance.studyUid),
  series: (a, b) =>
    compare(a.instance.studyUid, b.instance.studyUid) ||
    byNumber(a.json, b.json, TAG.SeriesNumber) ||
    compare(a.instance.seriesUid, b.instance.seriesUid),
  instances: (a, b) =>
    ORDER.series(a, b) ||
    byNumber(a.json, b.json, TAG.InstanceNumber) ||
    compare(a.instance.sopUid, b.instance.sopUid),
};

function dateOf(json: DicomJson): string {
  return `${textOf(json, TAG.StudyDate) ?? ''} ${textOf(json, TAG.StudyTime) ?? ''}`;
}

function byNumber(a: DicomJson, b: DicomJson, tag: string): number {
  return (numberOf(a, tag) ?? 0) - (numberOf(b, tag) ?? 0);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function describeStudy(
  study: ReadonlyMap<string, ReadonlyMap<string, IndexedInstance>>,
  url: string,
): DicomJson {
  const instances = [...study.values()].flatMap((series) => [...series.values()]);
  return {
    ...pick(firstOf(instances).json, LEVEL_TAGS.studies),
    [TAG.InstanceAvailability]: { vr: 'CS', Value: ['ONLINE'] },
    [TAG.ModalitiesInStudy]: listed(
      'CS',
      instances.map(({ json }) => textOf(json, TAG.Modality)),
    ),
    [TAG.SOPClassesInStudy]: listed(
      'UI',
      instances.map(({ sopClassUid }) => sopClassUid),
    ),
    [TAG.RetrieveURL]: { vr: 'UR', Value: [url] },
    [TAG.NumberOfStudyRelatedSeries]: { vr: 'IS', Value: [study.size] },
    [TAG.NumberOfStudyRelatedInstances]: { vr: 'IS', Value: [instances.length] },
  };
}

function describeSeries(series: ReadonlyMap<string, IndexedInstance>, url: string): DicomJson {
  return {
    ...pick(firstOf([...series.values()]).json, LEVEL_TAGS.series),
    [TAG.RetrieveURL]: { vr: 'UR', Value: [url] },
    [TAG.NumberOfSeriesRelatedInstances]: { vr: 'IS', Value: [series.size] },
  };
}

function describeInstance({ json }: IndexedInstance, url: string): DicomJson {
  return { ...pick(json, LEVEL_TAGS.instances), [TAG.RetrieveURL]: { vr: 'UR', Value: [url] } };
}

/** The instance that represents its study or series: always the same one, in whatever order the files were read. */
function firstOf(instances: readonly IndexedInstance[]): IndexedInstance {
  return instances.reduce((first, one) => (one.sopUid < first.sopUid ? one : first));
}

function pick(json: DicomJson, tags: readonly string[]): DicomJson {
  const picked: Record<string, DicomJsonElement> = {};
  for (const tag of tags) if (json[tag]) picked[tag] = json[tag];
  return picked;
}

/** The different values; without any, as an empty attribute (PS3.18 F.2.5). */
function listed(vr: string, values: readonly (string | undefined)[]): DicomJsonElement {
  const Value = [...new Set(values.filter((value) => value !== undefined))].sort();
  return Value.length > 0 ? { vr, Value } : { vr };
}

function wholeNumber(text: string | null, name: string): number | undefined {
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new StainError('REQUEST_INVALID', `${name} must be a whole number.`);
  return Number(text);
}
