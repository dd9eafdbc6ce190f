/** What the service offers (templates, models, device, error codes) and how it is. */
import { z } from 'zod';
import {
  type Device,
  device,
  errorList,
  type Model,
  modelList,
  type Template,
  template,
  templateList,
} from '../contract/index.ts';
import { ERROR_TABLE } from '../errors.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import type { Template as TemplateFile } from '../stain/template.ts';
import { parseInput } from './problem.ts';
import { json, type Route } from './route.ts';

const TAGS = ['Service'];
const idParameter = z.object({ id: z.string().max(64) });

export function templateToContract(
  { id, name, description, model, provenance, classes, glassDensity }: TemplateFile,
  basePath: string,
  own: boolean,
): Template {
  const thumbnail = `${basePath}/api/templates/${encodeURIComponent(id)}/thumbnail`;
  return { id, name, description, thumbnail, model, provenance, classes, glassDensity, own };
}

/** The part of normalization/template-store.ts that is asked for over HTTP. */
export interface TemplateSource {
  list(): Promise<TemplateFile[]>;
  /** @throws TEMPLATE_NOT_FOUND */
  get(id: string): Promise<TemplateFile>;
  ownIds(): Promise<ReadonlySet<string>>;
}

export interface ServiceRoutesOptions {
  readonly basePath: string;
  readonly templates: TemplateSource;
  device(): Device | Promise<Device>;
  models(): Promise<readonly LoadedModel[]>;
}

export function serviceRoutes(options: ServiceRoutesOptions): Route[] {
  const { basePath, templates } = options;
  const find: Pick<Route, 'problems'> = {
    problems: ['REQUEST_INVALID', 'TEMPLATE_NOT_FOUND', 'TEMPLATE_INVALID'],
  };

  return [
    {
      method: 'get',
      path: '/api/templates',
      scope: 'read',
      problems: ['TEMPLATE_INVALID'],
      operation: {
        tags: TAGS,
        summary: 'Templates: the stains that a slide can be moved onto',
        responses: { 200: json('All templates', templateList) },
      },
      async handler(_request, response) {
        const own = await templates.ownIds();
        const all = await templates.list();
        response.json({
          templates: all.map((found) => templateToContract(found, basePath, own.has(found.id))),
        });
      },
    },
    {
      method: 'get',
      path: '/api/templates/:id',
      scope: 'read',
      ...find,
      operation: {
        tags: TAGS,
        summary: 'A template',
        requestParams: { path: idParameter },
        responses: { 200: json('The template', template) },
      },
      async handler(request, response) {
        const found = await templates.get(parseInput(idParameter, request.params).id);
        response.json(templateToContract(found, basePath, (await templates.ownIds()).has(found.id)));
      },
    },
    {
      method: 'get',
      path: '/api/templates/:id/thumbnail',
      scope: 'read',
      ...find,
      operation: {
        tags: TAGS,
        summary: 'A picture of the stain',
        requestParams: { path: idParameter },
        responses: {
          200: {
            description: 'JPEG',
            content: { 'image/jpeg': { schema: z.string().meta({ format: 'binary' }) } },
          },
        },
      },
      async handler(request, response) {
        const { thumbnail } = await templates.get(parseInput(idParameter, request.params).id);
        response.set('Cache-Control', 'private, no-cache').type('image/jpeg');
        response.send(Buffer.from(thumbnail, 'base64'));
      },
    },
    {
      method: 'get',
      path: '/api/models',
      scope: 'read',
      operation: { tags: TAGS, summary: 'Models', responses: { 200: json('All models', modelList) } },
      async handler(_request, response) {
        response.json({ models: (await options.models()).map((found) => modelToContract(found, basePath)) });
      },
    },
    {
      method: 'get',
      path: '/api/device',
      scope: 'read',
      operation: {
        tags: TAGS,
        summary: 'The device that the network runs on',
        responses: { 200: json('The device', device) },
      },
      async handler(_request, response) {
        response.json(await options.device());
      },
    },
    {
      method: 'get',
      path: '/api/errors',
      scope: 'public',
      operation: {
        tags: TAGS,
        summary: 'All error codes, and what to do about each',
        responses: { 200: json('The codes', errorList) },
      },
      handler(_request, response) {
        response.json({
          errors: Object.entries(ERROR_TABLE).map(([code, { status, remedy }]) => ({ code, status, remedy })),
        });
      },
    },
  ];
}

function modelToContract(found: LoadedModel, basePath: string): Model {
  const { name, version, sha256, description, classes, classNames, halo, alignment } = found;
  const graph = (kind: 'statistics' | 'apply') => ({
    url: `${basePath}/api/models/${encodeURIComponent(name)}/graphs/${kind}?sha256=${found.graphSha256[kind]}`,
    sha256: found.graphSha256[kind],
    bytes: found.graphs[kind].byteLength,
  });
  const graphs = { statistics: graph('statistics'), apply: graph('apply') };
  return { name, version, sha256, description, classes, classNames, halo, alignment, graphs };
}
