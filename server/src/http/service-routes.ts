/** What the service offers: models, device, error codes. */
import {
  type ArchiveList,
  archiveList,
  DEFAULT_ARCHIVE,
  type Device,
  device,
  errorList,
  type Model,
  modelList,
} from '../../../core/src/contract/index.ts';
import { ERROR_TABLE } from '../../../core/src/errors.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import { dicomWebPath } from './archive-paths.ts';
import { json, type Route } from './route.ts';

const TAGS = ['Service'];

export interface ServiceRoutesOptions {
  readonly basePath: string;
  device(): Device | Promise<Device>;
  models(): Promise<readonly LoadedModel[]>;
  /** Those besides the default one. */
  readonly archives: readonly { readonly name: string; readonly isReadOnly: boolean }[];
}

export function serviceRoutes(options: ServiceRoutesOptions): Route[] {
  const { basePath, archives } = options;
  return [
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
      path: '/api/archives',
      scope: 'read',
      operation: {
        tags: TAGS,
        summary: 'Archives that requests may name',
        responses: { 200: json('All archives', archiveList) },
      },
      handler(_request, response) {
        response.json({
          archives: [
            { name: DEFAULT_ARCHIVE, isReadOnly: false },
            ...archives.map(({ name, isReadOnly }) => ({ name, isReadOnly })),
          ].map((archive) => ({ ...archive, dicomWeb: basePath + dicomWebPath(archive.name) })),
        } satisfies ArchiveList);
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
        summary: 'All error codes and their remedies',
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
