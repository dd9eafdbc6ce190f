import { trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLogger } from '../../server/src/app/log.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { StainError } from '../../server/src/errors.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { JobWatch } from '../../server/src/monitoring/job-watch.ts';
import { Metrics } from '../../server/src/monitoring/metrics.ts';
import { create, openJobs, RESULT, request, SteeredWork, until } from '../jobs/support.ts';
import { startApp, type TestApp, testMetrics } from '../support/test-app.ts';

const work = new SteeredWork();
const lines: any[] = [];
const log = createLogger({
  level: 'debug',
  destination: { write: (line) => void lines.push(JSON.parse(line)) },
});
let jobs: JobService;
let metrics: Metrics;
let watch: JobWatch;
let app: TestApp;

beforeAll(async () => {
  jobs = await openJobs({ run: work.run, onJob: (what, job) => watch.onJob(what, job) });
  metrics = testMetrics(jobs);
  watch = new JobWatch(log, metrics);
  app = await startApp(jobs, {
    metrics,
  });
});
afterAll(async () => {
  await app[Symbol.asyncDispose]();
  await jobs.close();
});

/** Value of a series in the text format. */
async function metric(series: string): Promise<number | undefined> {
  const response = await fetch(`${app.url}/metrics`);
  expect(response.headers.get('Content-Type')).toMatch(/^text\/plain; version=0\.0\.4/);
  const line = (await response.text()).split('\n').find((text) => text.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.split(' ').at(-1));
}

it('counts jobs, by state and by how they ended, and what they did', async () => {
  const first = work.next();
  const done = (await create(jobs, request())).job;
  const failing = (await create(jobs, request())).job;
  const call = await first;
  expect(await metric('stain_jobs{state="SCHEDULED"}')).toBe(1);
  expect(await metric('stain_jobs{state="IN PROGRESS"}')).toBe(1);
  expect(await metric('stain_jobs_oldest_waiting_seconds')).toBeGreaterThan(0);
  const second = work.next();
  call.succeed();
  (await second).fail(new StainError('TOO_LITTLE_TISSUE', 'Glass.'));
  await until(jobs, done.id, 'COMPLETED');
  await until(jobs, failing.id, 'FAILED');
  expect(await metric('stain_jobs_ended_total{state="COMPLETED",code=""}')).toBe(1);
  expect(await metric('stain_jobs_ended_total{state="FAILED",code="TOO_LITTLE_TISSUE"}')).toBe(1);
  expect(await metric('stain_megapixels_total')).toBe(RESULT.megapixels);
  const told = lines.filter(({ job }) => job === failing.id).map(({ msg, code }) => [msg, code]);
  expect(told).toEqual([
    ['job created', undefined],
    ['job started', undefined],
    ['job ended', 'TOO_LITTLE_TISSUE'],
  ]);
});

it('measures the stages of an attempt', async () => {
  const stages = watch.stages('the-job');
  for (const stage of ['open', 'fit', 'fit', 'normalize'] as const)
    stages.onProgress({ stage, done: 0, total: 1, unit: 'tiles', fraction: 0 });
  stages.end();
  expect(await metric('stain_stage_seconds_count{stage="fit"}')).toBe(1);
  expect(await metric('stain_stage_seconds_count{stage="store"}')).toBeUndefined();
  expect(lines.filter(({ job }) => job === 'the-job').map(({ stage }) => stage)).toEqual([
    'open',
    'fit',
    'normalize',
  ]);
});

it('makes a span of each stage, for those who trace', async () => {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(
    new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
  );
  const stages = watch.stages('traced');
  for (const stage of ['open', 'store'] as const)
    stages.onProgress({ stage, done: 0, total: 1, unit: 'instances', fraction: 0 });
  stages.end();
  const spans = exporter.getFinishedSpans().map(({ name, attributes }) => [name, attributes['stain.job']]);
  expect(spans).toEqual([
    ['open', 'traced'],
    ['store', 'traced'],
  ]);
});

it('leaves out what a source does not tell, and says whether the database answers', async () => {
  const broken = new Metrics({
    jobs: async () => {
      throw new StainError('DATABASE_UNAVAILABLE', 'Away.');
    },
    spool: async () => ({ used: 7, reserved: 9 }),
    device: () => new Promise<never>(() => {}),
  });
  broken.readBatches(async () => ({ waiting: 2, setAside: 1 }));
  broken.batchLineSetAside('ARCHIVE_ERROR');
  const text = (await broken.text()).split('\n');
  expect(text).toContain('stain_database_up 0');
  expect(text).toContain('stain_spool_bytes 7');
  expect(text).toContain('stain_batch_lines{state="set aside"} 1');
  expect(text).toContain('stain_batch_lines_set_aside_total{code="ARCHIVE_ERROR"} 1');
  expect(text.filter((line) => /^stain_(jobs|device_info)\{/.test(line))).toEqual([]);
  expect(await metric('stain_database_up')).toBe(1);
});

it('measures requests by route, and not by address', async () => {
  await fetch(`${app.url}/api/templates?x=secret`);
  expect(
    await metric('stain_http_request_seconds_count{method="GET",route="/api/templates",status="200"}'),
  ).toBe(1);
  expect(await (await fetch(`${app.url}/metrics`)).text()).not.toContain('secret');
});

it('needs the scope of administrators where there is a login', async () => {
  const env = { STAIN_OIDC_ISSUER: 'http://127.0.0.1:1', STAIN_OIDC_AUDIENCE: 'x' };
  await using other = await startApp(jobs, { login: openLogin(loadConfig({ env })) });
  expect((await fetch(`${other.url}/metrics`)).status).toBe(401);
  expect((await fetch(`${other.url}/ready`)).status).toBe(200);
});

it('readiness tells which check does not hold, without a word of why, and does not ask for each probe', async () => {
  let asked = 0;
  const checks = {
    archive: async () => {
      asked++;
      throw new StainError('ARCHIVE_UNREACHABLE', 'https://me:secret@archive');
    },
    database: async () => {},
  };
  await using other = await startApp(jobs, { checks });
  for (let probe = 0; probe < 3; probe++) {
    const response = await fetch(`${other.url}/ready`);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      checks: [
        { name: 'archive', ok: false, code: 'ARCHIVE_UNREACHABLE' },
        { name: 'database', ok: true },
      ],
    });
  }
  expect(asked).toBe(1);
});
