/**
 * The stain of a slide, and what a browser needs to preview exactly what the result will be: graphs and colour table.
 */
import type { Request, Response } from 'express';
import { z } from 'zod';
import { dicomUid, previewCreate, type Stain, stain, stainQuery } from '../../../core/src/contract/index.ts';
import { type ErrorCode, StainError } from '../../../core/src/errors.ts';
import { noteOf } from '../../../core/src/notes.ts';
import { type Access, requireAccess } from '../auth/access.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import { overrideNotes, requireStainOfHe, type StainPolicy } from '../pipeline/require-he.ts';
import type { SlideOfArchive } from '../pipeline/series-reference.ts';
import type { SeriesStain } from '../pipeline/series-stain.ts';
import { leaving } from '../web/leaving.ts';
import { setSubject, subjectOf } from './audited.ts';
import { principalOf } from './authenticate.ts';
import { parseBody } from './json-body.ts';
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

/** Problems of every request that reads a slide while the client waits. */
export const SLIDE_PROBLEMS: readonly ErrorCode[] = [
  'REQUEST_INVALID',
  'ARCHIVE_NOT_FOUND',
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
  'ARCHIVE_UNTRUSTED',
  'ARCHIVE_TLS_FAILED',
  'ARCHIVE_TIMEOUT',
  'QUEUE_FULL',
  'FIT_TIMED_OUT',
];

export interface StainRoutesOptions {
  readonly basePath: string;
  readonly access: Access;
  /** @throws MODEL_NOT_FOUND, MODEL_INVALID */
  model(name: string): Promise<LoadedModel>;
  /** @param requester id of the principal, here and below: users take turns */
  stainOf(
    series: SlideOfArchive,
    model: string,
    requester: string,
    signal: AbortSignal,
  ): Promise<SeriesStain>;
  /** A normalised region as JPEG. */
  preview(wanted: z.infer<typeof previewCreate>, requester: string, signal: AbortSignal): Promise<Uint8Array>;
}

export function stainRoutes(options: StainRoutesOptions): Route[] {
  return [readStain(options), readColourTable(options), readGraph(options), makePreview(options)];
}

/** The fitted stain of the requested slide, for a user who may see it. */
async function fittedStain({ access, ...service }: StainRoutesOptions, request: Request, response: Response) {
  const signal = leaving(response);
  const { study, series } = parseInput(seriesParameters, request.params);
  const { model, slide, anyStain, source } = parseInput(stainQuery, request.query);
  const reference = { studyInstanceUid: study, seriesInstanceUid: series };
  setSubject(response, { ...reference, archive: source });
  await requireAccess(access, principalOf(response), { ...reference, source });
  return {
    reference,
    loaded: await service.model(model),
    slide,
    source,
    policy: { anyStain } satisfies StainPolicy,
    found: await service.stainOf({ ...reference, slide, source }, model, principalOf(response).id, signal),
  };
}

function readStain(options: StainRoutesOptions): Route {
  return {
    method: 'get',
    path: '/api/studies/:study/series/:series/stain',
    scope: 'read',
    audit: 'stain-read',
    problems: SLIDE_PROBLEMS,
    operation: {
      tags: TAGS,
      summary: 'The stain of a slide: the class statistics that a job would fit',
      description: 'The first request for a slide takes seconds.',
      requestParams: { path: seriesParameters, query: stainQuery },
      responses: { 200: json('The stain', stain) },
    },
    async handler(request, response) {
      const { reference, slide, source, loaded, found, policy } = await fittedStain(
        options,
        request,
        response,
      );
      const { fit } = found;
      // With the stain a client can normalise the slide, as the viewer's preview does.
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
        notes: [...overrideNotes(found.series.slide, fit, policy), ...found.notes].map(noteOf),
        colourPolicy: found.colourPolicy,
        colourTable: found.colourTable
          ? `${options.basePath}/api/studies/${reference.studyInstanceUid}/series/${reference.seriesInstanceUid}/colour-table${queryOf({ slide, source })}`
          : null,
        nativeColours: (await found.series.nativeColours()) ?? null,
      } satisfies Stain);
    },
  };
}

/** Of what is given. */
function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  return given.length === 0 ? '' : `?${given.join('&')}`;
}

function readColourTable(options: StainRoutesOptions): Route {
  return {
    method: 'get',
    path: '/api/studies/:study/series/:series/colour-table',
    scope: 'read',
    problems: [...SLIDE_PROBLEMS, 'NOT_FOUND'],
    operation: {
      tags: TAGS,
      summary: "The colour table from a slide's colours to sRGB",
      description:
        '52^3 nodes, five grey levels apart, B varying fastest; 3 bytes each, in the order R, G, B.',
      requestParams: { path: seriesParameters, query: stainQuery },
      responses: { 200: bytes('The lattice') },
    },
    async handler(request, response) {
      const { found } = await fittedStain(options, request, response);
      if (!found.colourTable)
        throw new StainError('NOT_FOUND', 'The colours of this slide are already sRGB.');
      response.type('application/octet-stream').send(Buffer.from(found.colourTable));
    },
  };
}

function readGraph(options: StainRoutesOptions): Route {
  return {
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
      const loaded = await options.model(name);
      const digest = loaded.graphSha256[graph];
      if (sha256 !== undefined && sha256 !== digest)
        throw new StainError('NOT_FOUND', 'The model now has a different graph.');
      response.set({
        ETag: `"${digest}"`,
        'Cache-Control': sha256 === undefined ? 'private, no-cache' : 'private, max-age=31536000, immutable',
      });
      response.type('application/octet-stream').send(Buffer.from(loaded.graphs[graph]));
    },
  };
}

function makePreview(options: StainRoutesOptions): Route {
  return {
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
      summary: 'Preview of a region of a slide, normalised immediately',
      description:
        'Made from the level that suits the requested size. The first request for a slide also fits its stain, which takes seconds.',
      requestBody: { required: true, content: { 'application/json': { schema: previewCreate } } },
      responses: {
        200: {
          description: 'The picture',
          content: { 'image/jpeg': { schema: z.string().meta({ format: 'binary' }) } },
        },
      },
    },
    async handler(request, response) {
      const wanted = parseBody(previewCreate, request);
      setSubject(response, subjectOf(wanted));
      await requireAccess(options.access, principalOf(response), wanted);
      const picture = await options.preview(wanted, principalOf(response).id, leaving(response));
      response.type('image/jpeg').send(Buffer.from(picture));
    },
  };
}
