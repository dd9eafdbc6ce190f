/** Generates the OpenAPI document from the routes and the schemas of the contract. */
import { createDocument, type ZodOpenApiPathsObject } from 'zod-openapi';
import { problem } from '../../../core/src/contract/index.ts';
import { ERROR_TABLE, type ErrorCode } from '../../../core/src/errors.ts';
import type { Route } from './route.ts';

/** Problems of every route that is not public. */
const COMMON_PROBLEMS: readonly ErrorCode[] = [
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'LOGIN_UNAVAILABLE',
  'DATABASE_UNAVAILABLE',
];

export type OpenApiDocument = ReturnType<typeof createDocument>;

export function createOpenApi(
  routes: readonly Route[],
  { version, basePath, hasLogin }: { version: string; basePath: string; hasLogin: boolean },
): OpenApiDocument {
  const paths: ZodOpenApiPathsObject = {};
  for (const { method, path, scope, operation, problems = [] } of routes) {
    const item = paths[openApiPath(path)] ?? {};
    paths[openApiPath(path)] = item;
    item[method] = {
      ...operation,
      operationId: operationId(method, path),
      ...(hasLogin && scope !== 'public' && { security: [{ bearer: [] }] }),
      responses: {
        ...operation.responses,
        ...problemResponses([
          'MISDIRECTED_REQUEST',
          ...(method === 'get' ? [] : (['ORIGIN_REFUSED'] as const)),
          ...(scope === 'public' ? [] : COMMON_PROBLEMS),
          'RATE_LIMITED',
          ...problems,
        ]),
      },
    };
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Stain normalization',
      version,
      description:
        'Normalises whole-slide images that a DICOMweb archive holds. For research use only, not for primary diagnosis.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: basePath || '/' }],
    ...(hasLogin && {
      components: {
        securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
      },
    }),
    paths,
  });
}

/** `/api/templates/:id` is `/api/templates/{id}`. */
export function openApiPath(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}');
}

function operationId(method: string, path: string): string {
  return [method, ...path.split(/\W+/).filter(Boolean)].join('_');
}

/** One response per status, listing its error codes. */
function problemResponses(codes: readonly ErrorCode[]): Route['operation']['responses'] {
  const byStatus = Map.groupBy<number, ErrorCode>([...codes, 'INTERNAL'], (code) => ERROR_TABLE[code].status);
  return Object.fromEntries(
    [...byStatus].map(([status, ofStatus]) => [
      String(status),
      {
        description: ofStatus.map((code) => `${code}: ${ERROR_TABLE[code].remedy}`).join('\n\n'),
        content: { 'application/problem+json': { schema: problem } },
      },
    ]),
  ) as Route['operation']['responses'];
}
