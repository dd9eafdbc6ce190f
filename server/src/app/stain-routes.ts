/** The stain of a slide, and what a preview in the browser needs to be the same as the result: graphs, colour table. */
import type { Request, Response } from 'express';
import { z } from 'zod';
import { type Access, requireAccess } from '../auth/access.ts';
import { dicomUid, previewCreate, type Stain, stain, stainQuery } from '../contract/index.ts';
import { type ErrorCode, StainError } from '../errors.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import { leaving } from '../leaving.ts';
import type { SlideReference } from '../normalization/open-series.ts';
import { overrideNotes, requireStainOfHe, type StainPolicy } from '../normalization/require-he.ts';
import type { SeriesStain } from '../normalization/series-stain.ts';
import { setSubject, subjectOf } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { parseInput } from './problem.ts';
import { json, type Route } from './route.ts';

const TAGS = ['Stain'];
const seriesParameters = z.object({ study: dicomUid, series: dicomUid });
const graphParameters = z.object({ name: z.string().max(64), graph: z.enum(['statistics', 'apply']) });
const graphQuery = z.strictObject({ sha256: z.string().optional() });
const bytes = (description: string) => ({
  description,
  content: { 'application/octet-stream': { schema: z.string().meta({ format: 'binary' }) } },
});

/** Of whatever looks at a slide while somebody waits. */
export const SLIDE_PROBLEMS: readonly ErrorCode[] = [
  'REQUEST_INVALID',
  'SERIES_NOT_FOUND',
  'SEVERAL_SLIDES',
  'SLIDE_NOT_FOUND',
  'TOO_LITTLE_TISSUE',
  'STAIN_NOT_HE',
  'NOT_WHOLE_SLIDE',
  'MODEL_NOT_FOUND',
  'MODEL_INVALID',
  'SLIDE_TOO_LARGE',
  'DICOM_INVALID',
  'FRAME_INVALID',
  'FRAME_SIZE_MISMATCH',
  'TRANSFER_SYNTAX_UNSUPPORTED',
  'ICC_PROFILE_INVALID',
  'SPOOL_FULL',
  'ARCHIVE_UNREACHABLE',
  'ARCHIVE_TIMEOUT',
  'QUEUE_FULL',
  'FIT_TIMED_OUT',
];

export interface StainRoutesOptions {
  readonly basePath: string;
  readonly access: Access;
  /** @throws MODEL_NOT_FOUND, MODEL_INVALID */
  model(name: string): Promise<LoadedModel>;
  /** @param requester id of the principal, as below: users take turns */
  stainOf(
    series: SlideReference,
    model: string,
    requester: string,
    signal: AbortSignal,
  ): Promise<SeriesStain>;
  /** A normalised region as JPEG. */
  preview(wanted: z.infer<typeof previewCreate>, requester: string, signal: AbortSignal): Promise<Uint8Array>;
}

export function stainRoutes({ basePath, access, ...service }: StainRoutesOptions): Route[] {
  const read = async (request: Request, response: Response) => {
    const signal = leaving(response);
    const { study, series } = parseInput(seriesParameters, request.params);
    const { model, slide, anyStain } = parseInput(stainQuery, request.query);
    const reference = { studyInstanceUid: study, seriesInstanceUid: series };
    setSubject(response, reference);
    await requireAccess(access, principalOf(response), reference);
    return {
      reference,
      loaded: await service.model(model),
      slide,
      policy: { anyStain } satisfies StainPolicy,
      found: await service.stainOf({ ...reference, slide }, model, principalOf(response).id, signal),
    };
  };
  return [
    {
      method: 'get',
      path: '/api/studies/:study/series/:series/stain',
      scope: 'read',
      audit: 'stain-read',
      problems: SLIDE_PROBLEMS,
      operation: {
        tags: TAGS,
        summary: 'The stain of a slide: the class statistics that a job would fit',
        description: 'Takes seconds when it is asked for first.',
        requestParams: { path: seriesParameters, query: stainQuery },
        responses: { 200: json('The stain', stain) },
      },
      async handler(request, response) {
        const { reference, slide, loaded, found, policy } = await read(request, response);
        const { fit } = found;
        // Whoever gets it can normalise the slide: the viewer's preview does.
        requireStainOfHe(found.series.slide, fit, policy);
        const { name, version, sha256 } = loaded;
        response.json({
          ...reference,
          model: { name, version, sha256 },
          classes: fit.classes,
          densities: fit.densities,
          glassDensity: fit.glassDensity,
          glassColour: fit.glass.colour,
          fade: fit.fade,
          sampledTiles: fit.sampledTiles,
          pixels: fit.pixels,
          tissueFraction: fit.tissueFraction,
          outOfDistribution: fit.outOfDistribution,
          notes: [...overrideNotes(found.series.slide, fit, policy), ...found.notes],
          colourPolicy: found.colourPolicy,
          colourTable: found.colourTable
            ? `${basePath}/api/studies/${reference.studyInstanceUid}/series/${reference.seriesInstanceUid}/colour-table${slide === undefined ? '' : `?slide=${slide}`}`
            : null,
          nativeColours: (await found.series.nativeColours()) ?? null,
        } satisfies Stain);
      },
    },
    {
      method: 'get',
      path: '/api/studies/:study/series/:series/colour-table',
      scope: 'read',
      problems: [...SLIDE_PROBLEMS, 'NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: "The lattice from a slide's colours to sRGB",
        description: '52^3 nodes x 3 bytes in the order R, G, B, five grey levels apart, B running fastest.',
        requestParams: { path: seriesParameters, query: stainQuery },
        responses: { 200: bytes('The lattice') },
      },
      async handler(request, response) {
        const { found } = await read(request, response);
        if (!found.colourTable) throw new StainError('NOT_FOUND', 'The colours of this slide are sRGB.');
        response.type('application/octet-stream').send(Buffer.from(found.colourTable));
      },
    },
    {
      method: 'get',
      path: '/api/models/:name/graphs/:graph',
      scope: 'read',
      problems: ['REQUEST_INVALID', 'MODEL_NOT_FOUND', 'MODEL_INVALID', 'NOT_FOUND'],
      operation: {
        tags: TAGS,
        summary: 'A graph of a model, as ONNX',
        requestParams: { path: graphParameters, query: graphQuery },
        responses: { 200: bytes('The graph') },
      },
      async handler(request, response) {
        const { name, graph } = parseInput(graphParameters, request.params);
        const { sha256 } = parseInput(graphQuery, request.query);
        const loaded = await service.model(name);
        const digest = loaded.graphSha256[graph];
        if (sha256 !== undefined && sha256 !== digest)
          throw new StainError('NOT_FOUND', 'The model has another graph by now.');
        response.set({
          ETag: `"${digest}"`,
          'Cache-Control':
            sha256 === undefined ? 'private, no-cache' : 'private, max-age=31536000, immutable',
        });
        response.type('application/octet-stream').send(Buffer.from(loaded.graphs[graph]));
      },
    },
    {
      method: 'post',
      path: '/api/preview',
      scope: 'read',
      audit: 'preview-made',
      problems: [
        ...SLIDE_PROBLEMS,
        'TEMPLATE_NOT_FOUND',
        'TEMPLATE_INVALID',
        'TEMPLATE_OUTDATED',
        'INFERENCE_FAILED',
      ],
      operation: {
        tags: TAGS,
        summary: 'A region of a slide, normalised at once',
        description:
          'Made of the level that suits the size. The first request for a slide also fits its stain, which takes seconds.',
        requestBody: { required: true, content: { 'application/json': { schema: previewCreate } } },
        responses: {
          200: {
            description: 'The picture',
            content: { 'image/jpeg': { schema: z.string().meta({ format: 'binary' }) } },
          },
        },
      },
      async handler(request, response) {
        const wanted = parseInput(previewCreate, request.body);
        setSubject(response, subjectOf(wanted));
        await requireAccess(access, principalOf(response), wanted);
        const picture = await service.preview(wanted, principalOf(response).id, leaving(response));
        response.type('image/jpeg').send(Buffer.from(picture));
      },
    },
  ];
}
