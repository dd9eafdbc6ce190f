/**
 * The normalised archive over DICOMweb, below /normalized/{template}/dicom-web: every slide that the archive shows the
 * user, as it would be after normalisation. It contains nothing but normalised slides.
 */
import express, { type Request, type Response, type Router } from 'express';
import { nameOfTemplate } from '../../../../core/src/contract/index.ts';
import { StainError } from '../../../../core/src/errors.ts';
import { requireDataSetsAccepted } from '../../archive/accept.ts';
import { hiding } from '../../auth/refusal.ts';
import type { DicomWebResource } from '../../dicomweb/resource.ts';
import type { ListedSeries } from '../../normalized/catalogue.ts';
import { leaving } from '../../web/leaving.ts';
import { archiveTarget, resourceOf } from '../archive-target.ts';
import { setSubject } from '../audited.ts';
import { principalOf } from '../authenticate.ts';
import { parseInput } from '../problem.ts';
import type { Asked, NormalizedRouterOptions } from './asked.ts';
import { listStudy } from './list-study.ts';
import { noSeries } from './no-series.ts';
import { searchNormalized } from './search.ts';
import { type Instance, sendBulkData, sendFrames, sendMetadata, sendRendered } from './send.ts';

/** Nothing of the response is stored anywhere. */
const COMPUTED = { 'Stain-Normalization': 'computed' };

/**
 * Mount where the path has a `template` parameter. Problems: those of slides that cannot be normalised, TARGET_REFUSED,
 * NOT_ACCEPTABLE, NOT_FOUND, SERIES_NOT_FOUND, SOURCE_CHANGED, NOT_STORED, QUEUE_FULL, FIT_TIMED_OUT and errors of the
 * archive
 */
export function normalizedRouter(options: NormalizedRouterOptions): Router {
  return express.Router({ mergeParams: true }).use(archiveTarget, async (request, response) => {
    const template = parseInput(nameOfTemplate, (request.params as { template?: string }).template);
    setSubject(response, { template });
    response.set(COMPUTED);
    await answer(request, response, resourceOf(response)!, {
      ...options,
      template,
      principal: principalOf(response),
      baseUrl: `${request.protocol}://${request.host}${request.baseUrl}`,
      signal: leaving(response),
    });
  });
}

async function answer(
  request: Request,
  response: Response,
  resource: DicomWebResource,
  asked: Asked,
): Promise<void> {
  switch (resource.kind) {
    case 'search':
      return searchNormalized(request, response, resource, asked);
    case 'metadata':
      requireDataSetsAccepted(request.get('accept'));
      return sendMetadata(response, await instancesOf(resource, asked), asked);
    case 'frames':
      return sendFrames(request, response, await instanceOf(resource, asked), resource.frames, asked);
    case 'rendered':
    case 'thumbnail':
      return sendRendered(request, response, await instancesOf(resource, asked), resource.frames, asked);
    case 'value':
      return sendBulkData(request, response, await instanceOf(resource, asked), resource.path, asked);
    case 'instances':
      await instancesOf(resource, asked);
      throw new StainError('NOT_STORED', 'The series is computed on request and has no files.');
    case 'bulkdata':
      throw new StainError('NOT_FOUND', 'There is no such bulk data.');
    case 'store':
      throw new StainError('TARGET_REFUSED', 'This archive is read-only.');
  }
}

interface Address {
  readonly study: string;
  readonly series?: string;
  readonly instance?: string;
}

/**
 * The instances of a study or a series, or a single one.
 * @throws SERIES_NOT_FOUND, NOT_FOUND, and why a slide is refused
 */
async function instancesOf({ study, series, instance }: Address, asked: Asked): Promise<Instance[]> {
  const found =
    series === undefined
      ? (await listStudy(study, asked)).map(({ listed }) => listed)
      : [await ofSeries(study, series, asked)];
  if (found.length === 0)
    throw new StainError('SERIES_NOT_FOUND', 'The study has no slide that can be normalised.');
  const all = found.flatMap((one) =>
    one.sopInstanceUids.map((sopInstanceUid, image) => ({ series: one, image, sopInstanceUid })),
  );
  if (instance === undefined) return all;
  const chosen = all.filter(({ sopInstanceUid }) => sopInstanceUid === instance);
  if (chosen.length === 0) throw new StainError('NOT_FOUND', `The series has no instance ${instance}.`);
  return chosen;
}

async function instanceOf(address: Required<Address>, asked: Asked): Promise<Instance> {
  return (await instancesOf(address, asked))[0]!;
}

/** A series that was listed before, for a user who may see its source. */
async function ofSeries(
  study: string,
  series: string,
  { archive, access, template, principal, signal, source }: Asked,
): Promise<ListedSeries> {
  const { catalogue } = archive;
  await catalogue.requireTemplate(template);
  const given = await catalogue.find(template, series);
  if (given?.request.studyInstanceUid !== study) throw noSeries(series, study);
  const { studyInstanceUid, seriesInstanceUid } = given.request;
  if (!(await access.canRead(principal, { studyInstanceUid, seriesInstanceUid, source })))
    throw hiding(noSeries(series, study));
  return catalogue.listed(given, signal);
}
