/** The HTTP app with parts that do nothing, for tests of some of its routes. */
import { join } from 'node:path';
import { StainError } from '../../core/src/errors.ts';
import { OPEN_ACCESS } from '../../server/src/auth/access.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { type AppOptions, createApp } from '../../server/src/http/app.ts';
import { type Listening, type ListenOptions, listen } from '../../server/src/http/listen.ts';
import { createLogger } from '../../server/src/http/log.ts';
import { loadModel } from '../../server/src/inference/manifest.ts';
import { BatchService } from '../../server/src/jobs/batch-service.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { Metrics } from '../../server/src/monitoring/metrics.ts';
import { TemplateService } from '../../server/src/templates/template-service.ts';
import { repository } from './peers.ts';
import { templateOf } from './template.ts';

const nothing = async (): Promise<never> => {
  throw new StainError('NOT_FOUND', 'Not here.');
};

const MODELS = join(repository, 'models/onnx');

const DEVICE = { requested: 'cpu', executionProvider: null, reason: null, proof: null, threads: 1 };

export function testMetrics(jobs: JobService): Metrics {
  return new Metrics({
    jobs: () => jobs.statistics(),
    spool: async () => ({ used: 0, reserved: 0 }),
    device: async () => DEVICE,
  });
}

/** No jobs. */
export const NO_JOBS = {
  statistics: async () => ({ byState: {}, oldestWaitingSeconds: 0 }),
  list: async () => ({ jobs: [], cursors: [], next: null }),
  database: {
    query: async () => [{ value: '' }],
  },
} as unknown as JobService;

/** Templates that nobody requests. */
const NO_TEMPLATES = { list: async () => [] } as unknown as TemplateService;

/** Batches that nobody requests. */
export const NO_BATCHES = { list: async () => [], close: async () => {} } as unknown as BatchService;

export interface TestApp extends AsyncDisposable {
  readonly url: string;
}

/**
 * @param options in place of the parts that do nothing
 * @param listening in place of what it usually listens with
 */
export async function startApp(
  jobs: JobService,
  options: Partial<AppOptions> = {},
  listening: Partial<ListenOptions> = {},
): Promise<TestApp> {
  const config = options.config ?? loadConfig({ env: {} });
  const batches = options.batches ?? new BatchService({ jobs, onFault: () => {} });
  // As if it were shipped: requests name it.
  const templates =
    options.templates ??
    (jobs === NO_JOBS
      ? NO_TEMPLATES
      : await TemplateService.open({
          database: jobs.database,
          shipped: [templateOf('one')],
          limits: config.limits,
        }));
  const server: Listening = await listen(
    createApp({
      config,
      jobs,
      batches,
      login: openLogin(loadConfig({ env: {} })),
      access: OPEN_ACCESS,
      audit: { record: () => {} },
      metrics: testMetrics(jobs),
      checks: {},
      searchSeries: async () => [],
      searchInstances: async () => [],
      requireArchives: () => {},
      log: createLogger({ level: 'silent' }),
      version: '1',
      templates,
      device: () => DEVICE,
      models: async () => [],
      model: (name) => loadModel(MODELS, name),
      preview: nothing,
      stainOf: nothing,
      createTemplate: nothing,
      heartbeatMs: 1000,
      ...options,
    }),
    { host: '127.0.0.1', port: 0, graceMs: 100, ...listening },
  );
  return {
    url: server.url,
    async [Symbol.asyncDispose]() {
      await server.close();
      await batches.close();
    },
  };
}
