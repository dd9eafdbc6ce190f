/** The HTTP app with all its routes, with jobs that the tests control and an empty archive. */
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import express from 'express';
import { afterAll, beforeAll, expect } from 'vitest';
import { job as jobSchema, problem as problemSchema } from '../../core/src/contract/index.ts';
import { ERROR_TABLE, StainError } from '../../core/src/errors.ts';
import { versionOf } from '../../core/src/stain/template.ts';
import { OPEN_ACCESS } from '../../server/src/auth/access.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createApp } from '../../server/src/http/app.ts';
import { type Listening, listen } from '../../server/src/http/listen.ts';
import { createLogger } from '../../server/src/http/log.ts';
import { loadModel } from '../../server/src/inference/manifest.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { FINGERPRINT, openJobs, request, SteeredWork } from '../jobs/support.ts';
import { recordOf, THUMBNAIL, templateOf } from '../support/template.ts';
import { testMetrics } from '../support/test-app.ts';

const TEMPLATE = recordOf(templateOf('one'));

export const work = new SteeredWork();
export const lines: string[] = [];
export const log = createLogger({ level: 'info', destination: { write: (line) => void lines.push(line) } });
/** Whether the archive can be reached. */
export const archive = { works: true };
export let jobs: JobService;
let batches: BatchService;
let server: Listening;
export let url: string;
export const app = () => server.url;
/** A body whose syntax is under test. */
export const jsonOf = (response: Response): Promise<any> => response.json();

const model = (name: string) => loadModel(fileURLToPath(new URL('../../models/onnx', import.meta.url)), name);

/** Serves it for the tests of the calling file. */
export function serveWholeApp(): void {
  beforeAll(async () => {
    jobs = await openJobs({
      run: work.run,
      fingerprint: async ({ seriesInstanceUid }) => {
        if (seriesInstanceUid === '4.0.4')
          throw new StainError('SERIES_NOT_FOUND', 'The archive does not hold this series.');
        return { ...FINGERPRINT, isResult: seriesInstanceUid.endsWith('.99') };
      },
    });
    batches = new BatchService({ jobs, onFault: () => {} });
    const archiveRouter = express.Router().get('/studies', (_request, response) => void response.json([]));
    // As the viewer does: every address is a page for clients that accept one.
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
        audit: { record: () => {}, read: async () => Readable.from([Buffer.from('{}\n')]) },
        batches,
        searchSeries: async () => [],
        searchInstances: async () => [],
        requireArchives: () => {},
        log,
        version: '1.2.3',
        templates: {
          add: async () => ({ record: TEMPLATE, isNew: true }),
          requireRoom: async () => {},
          remove: async () => {},
          list: async () => [TEMPLATE],
          async thumbnail(id) {
            if (id !== 'one')
              throw new StainError('TEMPLATE_NOT_FOUND', 'No such template.', { data: { id } });
            return Buffer.from(THUMBNAIL, 'base64');
          },
          find: async (id) => {
            if (id === 'broken')
              throw new TypeError('secret text, https://me:pa55word@archive/x?token=t0ken Bearer abc.def');
            if (id !== 'one')
              throw new StainError('TEMPLATE_NOT_FOUND', 'No such template.', { data: { id } });
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
            if (!archive.works) throw new StainError('ARCHIVE_UNREACHABLE', 'no');
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
}

export const get = (path: string, init: RequestInit = {}) => fetch(`${url}${path}`, init);
export const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  get(path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', ...headers },
  });
export const body = () => {
  const { studyInstanceUid, seriesInstanceUid, template } = request();
  return { studyInstanceUid, seriesInstanceUid, template };
};

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

export async function running() {
  const next = work.next();
  const created = jobSchema.parse(await (await post('/api/normalizations', body())).json());
  return { id: created.id, call: await next };
}

export async function expectProblem(response: Response, status: number, code: keyof typeof ERROR_TABLE) {
  expect(response.headers.get('Content-Type')).toBe('application/problem+json');
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
