import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createApp } from '../../server/src/app/app.ts';
import { type Listening, listen } from '../../server/src/app/listen.ts';
import { createLogger } from '../../server/src/app/log.ts';
import { OPEN_ACCESS } from '../../server/src/auth/access.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import {
  health,
  jobList,
  job as jobSchema,
  problem as problemSchema,
  templateList,
} from '../../server/src/contract/index.ts';
import { ERROR_TABLE, StainError } from '../../server/src/errors.ts';
import { loadModel } from '../../server/src/inference/manifest.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { versionOf } from '../../server/src/stain/template.ts';
import { FINGERPRINT, openJobs, request, SteeredWork, until } from '../jobs/support.ts';
import { recordOf, THUMBNAIL, templateOf } from '../support/template.ts';
import { testMetrics } from '../support/test-app.ts';
import { readEvents } from './read-events.ts';

const TEMPLATE = recordOf(templateOf('one'));

const work = new SteeredWork();
const lines: string[] = [];
const log = createLogger({ level: 'info', destination: { write: (line) => void lines.push(line) } });
let archiveWorks = true;
let jobs: JobService;
let batches: BatchService;
let server: Listening;
let url: string;
const app = () => server.url;
/** A body whose form is what the test is about. */
const jsonOf = (response: Response): Promise<any> => response.json();

const model = (name: string) => loadModel(fileURLToPath(new URL('../../models/onnx', import.meta.url)), name);

beforeAll(async () => {
  jobs = await openJobs({
    run: work.run,
    fingerprint: async ({ seriesInstanceUid }) => {
      if (seriesInstanceUid === '4.0.4')
        throw new StainError('SERIES_NOT_FOUND', 'The archive does not hold this series.');
      return { ...FINGERPRINT, isResult: seriesInstanceUid.endsWith('.99') };
    },
  });
  batches = await BatchService.open({ jobs, onFault: () => {} });
  const archiveRouter = express.Router().get('/studies', (_request, response) => void response.json([]));
  // As the viewer does: every address is a page of its own for those who want one.
  const viewerRouter = express
    .Router()
    .get('/*path', (request, response, next) =>
      request.accepts(['json', 'html']) === 'html' ? void response.type('html').send('viewer') : next(),
    );
  server = await listen(
    createApp({
      config: loadConfig({
        env: {
          STAIN_SERVER_BASE_PATH: '/stain',
          STAIN_SERVER_ALLOWED_ORIGINS: 'https://viewer.example',
          STAIN_OUTPUT_QUALITY: '77',
        },
      }),
      jobs,
      login: openLogin(loadConfig({ env: {} })),
      access: OPEN_ACCESS,
      audit: { record: () => {} },
      batches,
      searchSeries: async () => [],
      log,
      version: '1.2.3',
      templates: {
        add: async () => ({ record: TEMPLATE, isNew: true }),
        requireRoom: async () => {},
        remove: async () => {},
        list: async () => [TEMPLATE],
        async thumbnail(id) {
          if (id !== 'one') throw new StainError('TEMPLATE_NOT_FOUND', 'No such template.', { data: { id } });
          return Buffer.from(THUMBNAIL, 'base64');
        },
        find: async (id) => {
          if (id === 'broken')
            throw new TypeError('secret text, https://me:pa55word@archive/x?token=t0ken Bearer abc.def');
          if (id !== 'one') throw new StainError('TEMPLATE_NOT_FOUND', 'No such template.', { data: { id } });
          return TEMPLATE;
        },
        version: async () => versionOf(templateOf('one')),
        isCurrent: () => true,
        countUnfinished: async () => 0,
      },
      device: () => ({ requested: 'auto', executionProvider: null, reason: null, proof: null, threads: 2 }),
      models: async () => [await model('reference')],
      model,
      preview: async () => {
        throw new StainError('SERIES_NOT_FOUND', 'There is no such series.');
      },
      stainOf: async () => {
        throw new StainError('TOO_LITTLE_TISSUE', 'Only 3 pixels of stained tissue were found.');
      },
      createTemplate: async () => TEMPLATE,
      metrics: testMetrics(jobs),
      checks: {
        database: () => jobs.ping(),
        archive: async () => {
          if (!archiveWorks) throw new StainError('ARCHIVE_UNREACHABLE', 'no');
        },
      },
      archiveRouter,
      viewerRouter,
      heartbeatMs: 30,
    }),
    { host: '127.0.0.1', port: 0, graceMs: 500 },
  );
  url = `${app()}/stain`;
});
afterAll(async () => {
  await Promise.all([batches.close(), server.close()]);
  await jobs.close();
});

const get = (path: string, init: RequestInit = {}) => fetch(`${url}${path}`, init);
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  get(path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', ...headers },
  });
const body = () => {
  const { studyInstanceUid, seriesInstanceUid, template } = request();
  return { studyInstanceUid, seriesInstanceUid, template };
};

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

async function running() {
  const next = work.next();
  const created = jobSchema.parse(await (await post('/api/normalizations', body())).json());
  return { id: created.id, call: await next };
}

async function expectProblem(response: Response, status: number, code: keyof typeof ERROR_TABLE) {
  expect(response.headers.get('Content-Type')).toBe('application/problem+json; charset=utf-8');
  expect(response.status).toBe(status);
  const problem = problemSchema.strict().parse(await response.json());
  expect(problem).toMatchObject({
    status,
    code,
    remedy: ERROR_TABLE[code].remedy,
    type: `/stain/api/errors#${code}`,
  });
  expect(problem.instance).toBe(`urn:uuid:${response.headers.get('X-Request-Id')}`);
  return problem;
}

describe('limits of a request', () => {
  it('a body that is nested too deep is refused', async () => {
    const deep = `${'['.repeat(40)}${']'.repeat(40)}`;
    const response = await post('/api/normalizations', deep);
    expect(response.status).toBe(400);
    expect((await jsonOf(response)).detail).toContain('nested deeper');
    const wide = await post('/api/normalizations', JSON.stringify({ a: [[[]]] }));
    expect((await jsonOf(wide)).detail).not.toContain('nested deeper');
  });
});

describe('normalizations', () => {
  it('are made with 202 and a Location, and found again with 200', async () => {
    const next = work.next();
    const wanted = body();
    const made = await post('/api/normalizations', wanted);
    expect(made.status).toBe(202);
    const job = jobSchema.strict().parse(await made.json());
    expect(job.request).toEqual({
      ...wanted,
      templateSha256: FINGERPRINT.templateSha256,
      sourceSha256: FINGERPRINT.sourceSha256,
      contentSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      model: 'fast',
      transfer: 'linear',
      encoding: 'jpeg',
      quality: 77,
    });
    expect(made.headers.get('Location')).toBe(`/stain/api/normalizations/${job.id}`);
    const again = await post('/api/normalizations', wanted);
    expect(again.status).toBe(200);
    expect(await again.json()).toMatchObject({ id: job.id });
    expect(await (await fetch(`${app()}${made.headers.get('Location')}`)).json()).toMatchObject({
      id: job.id,
    });
    (await next).succeed();
    await until(jobs, job.id, 'COMPLETED');
    const list = jobList.parse(
      await (await get(`/api/normalizations?series=${wanted.seriesInstanceUid}&state=COMPLETED`)).json(),
    );
    expect(list).toMatchObject({
      jobs: [{ id: job.id, result: { seriesInstanceUid: '2.25.1' } }],
      next: null,
    });
  });

  it('of any stain are asked for in so many words, and are other work', async () => {
    const next = work.next();
    const wanted = body();
    const plain = jobSchema.parse(await (await post('/api/normalizations', wanted)).json());
    const call = await next;
    expect(call.request.anyStain).toBeUndefined();
    call.succeed();
    await until(jobs, plain.id, 'COMPLETED');
    const after = work.next();
    const asked = await post('/api/normalizations', { ...wanted, anyStain: true });
    const job = jobSchema.parse(await asked.json());
    expect(job.id).not.toBe(plain.id);
    expect(job.request.anyStain).toBe(true);
    const second = await after;
    expect(second.request.anyStain).toBe(true);
    second.succeed();
    await until(jobs, job.id, 'COMPLETED');
  });

  it('are refused at once when the series or template is not there', async () => {
    const response = await post('/api/normalizations', { ...body(), seriesInstanceUid: '4.0.4' });
    await expectProblem(response, 404, 'SERIES_NOT_FOUND');
    expect((await jobs.list({ series: '4.0.4', limit: 1 })).jobs).toEqual([]);
  });

  it('are cancelled, in work and waiting', async () => {
    const { id, call } = await running();
    const waiting = jobSchema.parse(await (await post('/api/normalizations', body())).json());
    const atOnce = await get(`/api/normalizations/${waiting.id}`, { method: 'DELETE' });
    expect([atOnce.status, (await jsonOf(atOnce)).state]).toEqual([200, 'CANCELED']);
    const soon = await post(`/api/normalizations/${id}/cancel`, '');
    expect([soon.status, (await jsonOf(soon)).cancelRequested]).toEqual([202, true]);
    expect(call.signal.aborted).toBe(true);
    await until(jobs, id, 'CANCELED');
    await expectProblem(await post(`/api/normalizations/${id}/cancel`, ''), 409, 'JOB_FINISHED');
  });
});

describe('the event stream', () => {
  it('tells the job as it is, its progress and its end, with heartbeats, and then ends', async () => {
    const { id, call } = await running();
    const response = await get(`/api/normalizations/${id}/events`);
    expect(response.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8');
    const seen: string[] = [];
    const text: string[] = [];
    for await (const event of readEvents(response, text)) {
      expect(event.id).toBe(event.job.revision);
      const { state, progress } = jobSchema.parse(event.job);
      seen.push(`${state} ${progress?.fraction ?? '-'}`);
      if (seen.length === 1) setTimeout(() => call.progress(0.5), 100);
      if (seen.length === 2) call.succeed();
    }
    expect(seen).toEqual(['IN PROGRESS -', 'IN PROGRESS 0.5', 'COMPLETED 0.5']);
    expect(text.join('')).toMatch(/^retry: \d+\n\n/);
    expect(text.join('')).toContain(': still here');
  });

  it('goes on after Last-Event-ID, and has nothing more to say about an end that is known', async () => {
    const { id, call } = await running();
    call.progress(0.3);
    const { revision } = await jobs.get(id);
    const response = await get(`/api/normalizations/${id}/events`, {
      headers: { 'Last-Event-ID': revision },
    });
    call.succeed();
    const events = await all(readEvents(response));
    expect(events.map((event) => event.job.state)).toEqual(['COMPLETED']);
    const again = await get(`/api/normalizations/${id}/events`, {
      headers: { 'Last-Event-ID': events[0]!.id },
    });
    expect(again.status).toBe(204);
    const reloaded = await all(readEvents(await get(`/api/normalizations/${id}/events`)));
    expect(reloaded.map((event) => event.job.state)).toEqual(['COMPLETED']);
  });

  it('of an unknown job is a problem', async () => {
    await expectProblem(await get(`/api/normalizations/${crypto.randomUUID()}/events`), 404, 'JOB_NOT_FOUND');
  });
});

describe('problems', () => {
  it.each<[string, () => Promise<Response>, number, keyof typeof ERROR_TABLE]>([
    ['an unknown address', () => get('/nothing'), 404, 'NOT_FOUND'],
    ['an address outside the base path', () => fetch(`${app()}/health`), 404, 'NOT_FOUND'],
    [
      'an unknown address of the API, which is no page of the viewer',
      () => get('/api/nothing', { headers: { Accept: 'text/html' } }),
      404,
      'NOT_FOUND',
    ],
    [
      'an unknown address of the archive, which is none either',
      () => get('/dicom-web/nothing', { headers: { Accept: 'text/html' } }),
      404,
      'NOT_FOUND',
    ],
    ['an unknown job', () => get(`/api/normalizations/${crypto.randomUUID()}`), 404, 'JOB_NOT_FOUND'],
    ['a job id that is none', () => get('/api/normalizations/7'), 400, 'REQUEST_INVALID'],
    ['an unknown template', () => get('/api/templates/two'), 404, 'TEMPLATE_NOT_FOUND'],
    ['malformed JSON', () => post('/api/normalizations', '{"a":'), 400, 'REQUEST_INVALID'],
    ['a missing field', () => post('/api/normalizations', { template: 'one' }), 400, 'REQUEST_INVALID'],
    [
      'an unknown field',
      () => post('/api/normalizations', { ...body(), colour: 'red' }),
      400,
      'REQUEST_INVALID',
    ],
    [
      'a transfer that there is not',
      () => post('/api/normalizations', { ...body(), transfer: 'other' }),
      400,
      'REQUEST_INVALID',
    ],
    [
      'a preview by a transfer that there is not',
      () => {
        const region = { x: 0, y: 0, width: 9, height: 9 };
        return post('/api/preview', { ...body(), region, transfer: 'other' });
      },
      400,
      'REQUEST_INVALID',
    ],
    [
      'a body that is not JSON',
      () => post('/api/normalizations', 'x', { 'Content-Type': 'text/plain' }),
      400,
      'REQUEST_INVALID',
    ],
    [
      'a charset that is none',
      () => post('/api/normalizations', '{}', { 'Content-Type': 'application/json; charset=x' }),
      415,
      'REQUEST_INVALID',
    ],
    [
      'a body too large',
      () => post('/api/normalizations', JSON.stringify('x'.repeat(70_000))),
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['a page size too large', () => get('/api/normalizations?limit=1000'), 400, 'REQUEST_INVALID'],
    ['another method', () => get('/api/templates', { method: 'DELETE' }), 405, 'REQUEST_INVALID'],
    ['an address that cannot be decoded', () => get('/api/templates/%ff'), 400, 'REQUEST_INVALID'],
    [
      'a change by a foreign page',
      () =>
        post(`/api/normalizations/${crypto.randomUUID()}/cancel`, '', {
          Origin: 'https://evil.example',
          'Sec-Fetch-Site': 'cross-site',
        }),
      403,
      'ORIGIN_REFUSED',
    ],
  ])('are said for %s', async (_name, send, status, code) => {
    await expectProblem(await send(), status, code);
  });

  it('name the fields that are wrong', async () => {
    const problem = await expectProblem(
      await post('/api/normalizations', { ...body(), quality: 1000 }),
      400,
      'REQUEST_INVALID',
    );
    expect(problem.data).toEqual({ fields: [{ field: 'quality', message: expect.any(String) }] });
  });

  it('carry the facts of the error, and nothing of one that nobody foresaw', async () => {
    expect((await expectProblem(await get('/api/templates/two'), 404, 'TEMPLATE_NOT_FOUND')).data).toEqual({
      id: 'two',
    });
    const problem = await expectProblem(await get('/api/templates/broken'), 500, 'INTERNAL');
    expect(JSON.stringify(problem)).not.toMatch(/secret|stack|TypeError|pa55word/);
  });
});

describe('the log', () => {
  it('has one line a request, with the route and without identifiers, queries or tokens', async () => {
    lines.length = 0;
    await get('/api/normalizations?series=1.2.840.99', {
      headers: { Authorization: 'Bearer t0ken', Cookie: 'a=t0ken' },
    });
    await get('/dicom-web/studies?PatientName=DOE');
    await get('/api/templates/broken');
    await get('/secret-path?x=t0ken');
    await new Promise((resolve) => setTimeout(resolve, 100));
    log.info({ headers: { authorization: 't0ken' }, token: 't0ken' }, 'redacted');
    const entries = lines.map((line) => JSON.parse(line));
    expect(entries.filter(({ msg }) => msg === 'request')).toMatchObject([
      {
        method: 'GET',
        route: '/api/normalizations',
        status: 200,
        ms: expect.any(Number),
        requestId: expect.any(String),
      },
      { route: '/dicom-web', status: 200 },
      { route: '/api/templates/:id', status: 500 },
      { route: 'unmatched', status: 404 },
    ]);
    expect(entries.find(({ msg }) => msg === 'request failed').err.stack).toContain('TypeError');
    expect(lines.join('')).not.toMatch(/t0ken|DOE|1\.2\.840\.99|secret-path|pa55word|abc\.def/);
  });
});

describe('headers', () => {
  it('are strict, carry the request id of a proxy, and no product name', async () => {
    const id = crypto.randomUUID();
    const { headers } = await get('/health', { headers: { 'X-Request-Id': id } });
    expect(headers.get('X-Request-Id')).toBe(id);
    expect(headers.get('Content-Security-Policy')).toContain("default-src 'none'");
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff');
    expect(headers.get('X-Powered-By')).toBeNull();
    expect(
      (await get('/health', { headers: { 'X-Request-Id': 'x\u00e4' } })).headers.get('X-Request-Id'),
    ).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('let nothing be kept but graphs and pictures, by the browser alone; and of these no problem', async () => {
    const cacheOf = async (path: string) => (await get(path)).headers.get('Cache-Control');
    expect(await cacheOf('/api/templates')).toBe('no-store');
    expect(await cacheOf('/api/templates/one/thumbnail')).toBe('private, no-cache');
    expect(await cacheOf('/api/templates/none/thumbnail')).toBe('no-store');
    const { models } = await jsonOf(await get('/api/models'));
    const { url: graph } = models[0].graphs.apply;
    expect((await fetch(`${app()}${graph}`)).headers.get('Cache-Control')).toMatch(/^private, max-age=/);
    expect(await cacheOf('/api/models/reference/graphs/apply')).toBe('private, no-cache');
    expect(await cacheOf('/api/models/reference/graphs/apply?sha256=00')).toBe('no-store');
  });

  it('let only the configured origins in', async () => {
    const preflight = (origin: string) =>
      get('/api/normalizations', {
        method: 'OPTIONS',
        headers: { Origin: origin, 'Access-Control-Request-Method': 'POST' },
      });
    expect((await preflight('https://viewer.example')).headers.get('Access-Control-Allow-Origin')).toBe(
      'https://viewer.example',
    );
    expect((await preflight('https://evil.example')).headers.get('Access-Control-Allow-Origin')).toBeNull();
  });
});

describe('the service', () => {
  it('is healthy, and ready only while every check holds', async () => {
    expect(health.parse(await (await get('/health')).json())).toEqual({
      status: 'ok',
      version: '1.2.3',
      checks: [],
    });
    expect(await (await get('/ready')).json()).toMatchObject({
      status: 'ok',
      checks: [
        { name: 'database', ok: true },
        { name: 'archive', ok: true },
      ],
    });
    archiveWorks = false;
    // An answer holds for two seconds.
    const response = await vi.waitFor(
      async () => {
        const later = await get('/ready');
        expect(later.status).toBe(503);
        return later;
      },
      { timeout: 10_000, interval: 500 },
    );
    archiveWorks = true;
    expect(health.parse(await response.json()).checks).toContainEqual({
      name: 'archive',
      ok: false,
      code: 'ARCHIVE_UNREACHABLE',
    });
  });

  it('lists templates with the address of a picture', async () => {
    const { templates } = templateList.parse(await (await get('/api/templates')).json());
    const picture = await fetch(`${app()}${templates[0]!.thumbnail}`);
    expect(picture.headers.get('Content-Type')).toBe('image/jpeg');
    expect(Buffer.from(await picture.arrayBuffer()).toString('base64')).toBe(THUMBNAIL);
  });

  it('lists models, the device and every error code', async () => {
    expect(await (await get('/api/models')).json()).toMatchObject({ models: [{ name: 'reference' }] });
    expect(await (await get('/api/device')).json()).toMatchObject({ requested: 'auto' });
    const { errors } = await jsonOf(await get('/api/errors'));
    expect(errors.map(({ code }: { code: string }) => code)).toEqual(Object.keys(ERROR_TABLE));
  });

  it('shows the API without anything from elsewhere', async () => {
    const redirected = await get('/docs');
    expect(redirected.url).toBe(`${url}/docs/`);
    expect(redirected.headers.get('Content-Security-Policy')).toContain("script-src 'self'");
    const page = await redirected.text();
    const files = [...page.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, file]) => file!);
    expect(files.length).toBeGreaterThan(3);
    for (const file of files) {
      expect(file).toMatch(/^\.\//);
      expect((await get(`/docs/${file.slice(2)}`)).status).toBe(200);
    }
    expect(page).not.toMatch(/<script>|https?:/);
    expect((await get('/docs/package.json')).status).toBe(404);
  });
});

describe('openapi.json', () => {
  it('holds every route of the app, and no other', async () => {
    const document = await jsonOf(await get('/openapi.json'));
    const documented = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.keys(item as object).map((method) => `${method} ${path}`),
    );
    // The routes as they stand in the source, so that one which is mounted past the table is found too.
    const source = [
      'normalization-routes',
      'service-routes',
      'stain-routes',
      'template-routes',
      'batch-routes',
      'health-routes',
      'ups/ups-routes',
      'app',
    ]
      .map((name) => readFileSync(new URL(`../../server/src/app/${name}.ts`, import.meta.url), 'utf8'))
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

  it('is whole: references resolve, path parameters are declared, operations have ids and answers', async () => {
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
