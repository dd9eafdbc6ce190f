/**
 * QIDO-RS of the normalised archive. Studies are those of the archive, page by page. Series and instances of one study
 * are listed completely, then matched and paged here; without a study, only a series that was listed before is found,
 * by its UID.
 */
import type { Request, Response } from 'express';
import { StainError } from '../../../../core/src/errors.ts';
import { requireDataSetsAccepted } from '../../archive/accept.ts';
import { TAG, tagOf } from '../../archive/attributes.ts';
import { matches } from '../../archive/matching.ts';
import { MAX_RESULTS, parseQuery } from '../../archive/query.ts';
import { type DicomJson, textOf, valuesOf } from '../../dicom/json-model.ts';
import { isUid } from '../../dicom/uid.ts';
import type { SearchParameters } from '../../dicomweb/client.ts';
import type { DicomWebResource } from '../../dicomweb/resource.ts';
import type { Asked } from './asked.ts';
import { type Found, listStudy } from './list-study.ts';
import { noSeries } from './no-series.ts';
import { instanceRow, seriesRow, studyRow, TOLD } from './rows.ts';

type Search = DicomWebResource & { readonly kind: 'search' };

export async function searchNormalized(
  request: Request,
  response: Response,
  resource: Search,
  asked: Asked,
): Promise<void> {
  requireDataSetsAccepted(request.get('accept'));
  const parameters = new URL(request.url, 'http://localhost').searchParams;
  const { level } = resource;
  // Requests that are too long, or ask for too much, are refused, whoever would answer them.
  const query = parseQuery(parameters);
  await asked.archive.catalogue.requireTemplate(asked.template);
  response.set('Cache-Control', 'no-store');
  if (level === 'studies') return send(response, await searchStudies(parameters, asked));
  const [filters, others] = divided(query.filters, ({ tag }) => TOLD[level].has(tag));
  const isMore = query.include === 'all' || [...query.include].some((tag) => !TOLD[level].has(tag));
  const rows = await rowsOf(resource, parameters, asked);
  const matching = rows.filter((row) => filters.every(({ tag, value }) => matches(row[tag], value)));
  const page = matching.slice(query.offset, query.offset + query.limit);
  response.set('X-Total-Count', String(matching.length));
  if (query.ignored.length + others.length > 0 || isMore)
    warn(response, 'Unsupported parameters were ignored');
  send(response, page);
}

function divided<T>(items: readonly T[], isFirst: (item: T) => boolean): [T[], T[]] {
  return [items.filter(isFirst), items.filter((item) => !isFirst(item))];
}

function warn(response: Response, warning: string): void {
  response.append('Warning', `299 stain-normalization "${warning}"`);
}

/** An empty array rather than 204: viewers parse the body without checking the status. */
function send(response: Response, rows: readonly DicomJson[]): void {
  // Not with express's `type`, which would add a charset.
  response.setHeader('Content-Type', 'application/dicom+json');
  response.end(JSON.stringify(rows));
}

/** One page of the archive's studies that contain slides, in the archive's paging. */
async function searchStudies(
  given: URLSearchParams,
  { search, principal, baseUrl, signal }: Asked,
): Promise<DicomJson[]> {
  const parameters: Record<string, string | string[]> = {};
  for (const name of new Set(given.keys())) {
    const values = given.getAll(name);
    if (tagOf(name) === TAG.ModalitiesInStudy) {
      if (!values.every((value) => matches({ vr: 'CS', Value: ['SM'] }, value))) return [];
    } else parameters[name] = values.length === 1 ? values[0]! : values;
  }
  // The first of several values counts, as everywhere.
  const [limit, offset] = ['limit', 'offset'].map((name) => Number(given.get(name) || 0));
  const wanted: SearchParameters = {
    ...parameters,
    ModalitiesInStudy: 'SM',
    limit: Math.min(limit || MAX_RESULTS, MAX_RESULTS),
    offset: offset || undefined,
  };
  if (given.get('limit') === '0') return [];
  const told = await search.studies(principal, wanted, signal);
  return told
    .filter((row) => {
      const modalities = valuesOf(row[TAG.ModalitiesInStudy]);
      return modalities.length === 0 || modalities.includes('SM');
    })
    .map((row) => studyRow(row, `${baseUrl}/studies/${textOf(row, TAG.StudyInstanceUID)}`));
}

async function rowsOf(
  { level, study, series }: Search,
  parameters: URLSearchParams,
  asked: Asked,
): Promise<DicomJson[]> {
  const studies = study === undefined ? uidsIn(parameters, TAG.StudyInstanceUID) : [study];
  const ofSeries = series === undefined ? uidsIn(parameters, TAG.SeriesInstanceUID) : [series];
  const found = await listedIn(studies, ofSeries, asked);
  if (series !== undefined && found.every(({ listed }) => listed.seriesInstanceUid !== series))
    throw noSeries(series, study!);
  return found
    .filter(({ listed }) => series === undefined || listed.seriesInstanceUid === series)
    .flatMap(({ listed, told }) => {
      const { studyInstanceUid } = listed.slide;
      const url = `${asked.baseUrl}/studies/${studyInstanceUid}/series/${listed.seriesInstanceUid}`;
      const row = seriesRow(listed, told, url);
      if (level === 'series') return [row];
      return listed.sopInstanceUids.map((uid, image) =>
        instanceRow(listed, image, row, `${url}/instances/${uid}`),
      );
    });
}

/**
 * What the user may see of the studies; without a study, the studies of series that were listed before.
 * @throws REQUEST_INVALID without either
 */
async function listedIn(
  studies: readonly string[],
  series: readonly string[],
  asked: Asked,
): Promise<Found[]> {
  if (studies.length === 0 && series.length === 0)
    throw new StainError(
      'REQUEST_INVALID',
      'Search for series and instances within a study, or by the UID of a series that was listed there.',
    );
  const ofSeries = new Set<string>();
  // Their UIDs tell their studies.
  for (const uid of studies.length > 0 ? [] : series) {
    const given = await asked.archive.catalogue.find(asked.template, uid);
    if (given) ofSeries.add(given.request.studyInstanceUid);
  }
  const found: Found[] = [];
  for (const study of [...studies, ...ofSeries]) found.push(...(await listStudy(study, asked)));
  return found;
}

/** The UIDs that an attribute may have; empty if the parameters do not name it. */
function uidsIn(parameters: URLSearchParams, tag: string): string[] {
  const name = [...parameters.keys()].find((key) => tagOf(key) === tag);
  const values = name === undefined ? [] : (parameters.get(name) ?? '').split(/[,\\]/);
  return values.every((value) => isUid(value)) ? [...new Set(values)] : [];
}
