/** The OpenAPI document agrees with the API. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { get, jsonOf, serveWholeApp } from './whole-app.ts';

serveWholeApp();

describe('openapi.json', () => {
  it('contains every route of the app, and no other', async () => {
    const document = await jsonOf(await get('/openapi.json'));
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item as object).map((method) => `${method} ${path}`),
    );
    // Routes are read from the source, so that one mounted outside the table is found too.
    const source = [
      'normalization-routes',
      'service-routes',
      'stain-routes',
      'template-routes',
      'batch-routes',
      'health-routes',
      'operations-routes',
      'quality-routes',
      'ups/ups-routes',
      'app',
    ]
      .map((name) => readFileSync(new URL(`../../server/src/http/${name}.ts`, import.meta.url), 'utf8'))
      .map((text) => text.replaceAll('path: PAGE', `path: ${/const PAGE = (.+);/.exec(text)?.[1]}`))
      .join('\n');
    const mounted = [...source.matchAll(/method: '(\w+)',\s*path: '([^']+)'/g)].map(
      ([, method, path]) => `${method} ${path!.replace(/:(\w+)/g, '{$1}')}`,
    );
    expect(documented.toSorted()).toEqual(mounted.toSorted());
    expect(source).not.toMatch(/\.(get|post|delete|put|patch)\('\//);
    for (const route of documented) {
      const [method, path] = route.split(' ');
      const response = await get(path!.replaceAll(/\{\w+\}/g, crypto.randomUUID()), {
        method: method!.toUpperCase(),
      });
      expect(await response.text(), route).not.toContain('"code":"NOT_FOUND","remedy"');
      expect(response.status, route).not.toBe(405);
    }
  });

  it('is complete: references resolve, path parameters are declared, operations have ids and responses', async () => {
    const document = await jsonOf(await get('/openapi.json'));
    expect(document).toMatchObject({
      openapi: '3.1.0',
      info: { version: '1.2.3' },
      servers: [{ url: '/stain' }],
    });
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) =>
      path!.split('/'),
    );
    expect(references.length).toBeGreaterThan(5);
    for (const path of references)
      expect(
        path.reduce((node: any, key) => node?.[key], document),
        path.join('/'),
      ).toBeDefined();
    const ids = new Set<string>();
    for (const [path, item] of Object.entries<Record<string, any>>(document.paths))
      for (const operation of Object.values(item)) {
        expect(ids.has(operation.operationId)).toBe(false);
        ids.add(operation.operationId);
        expect(Object.keys(operation.responses)).toContain('500');
        const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
        const declared = (operation.parameters ?? [])
          .filter((parameter: { in: string }) => parameter.in === 'path')
          .map((parameter: { name: string }) => parameter.name);
        expect(declared, path).toEqual(named);
      }
    const create = document.paths['/api/normalizations'].post;
    expect(create.responses['404'].description).toContain('SERIES_NOT_FOUND');
    expect(document.components.schemas.NormalizationCreate.required).toEqual([
      'studyInstanceUid',
      'seriesInstanceUid',
      'template',
    ]);
  });
});
