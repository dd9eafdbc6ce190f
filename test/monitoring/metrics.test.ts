import { trace } from '@opentelemetry/api';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { createLogger } from '../../server/src/http/log.ts';
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

it('counts jobs, by state and outcome, and the pixels that they made', async () => {
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

it('begins at 0 wherever a rule asks for an increase', async () => {
  const fresh = (await testMetrics(jobs).text()).split('\n');
  for (const series of [
    'stain_jobs_ended_total{state="COMPLETED",code=""}',
    'stain_jobs_ended_total{state="FAILED",code="INTERNAL"}',
    'stain_jobs_ended_total{state="CANCELED",code="INTERNAL"}',
    'stain_jobs_requeued_total{code="interrupted"}',
    'stain_jobs_requeued_total{code="SPOOL_FULL"}',
    'stain_batch_lines_set_aside_total{code="ARCHIVE_ERROR"}',
    'stain_audit_lost_total{way="syslog"}',
    'stain_megapixels_total',
    'stain_normalized_frame_seconds_count{outcome="failed"}',
  ])
    expect(fresh).toContain(`${series} 0`);
});

it('measures the stages of an attempt', async () => {
  const stages = watch.stages('the-job');
  for (const stage of ['open', 'fit', 'fit', 'normalize'] as const)
    stages.onProgress({ stage, done: 0, total: 1, unit: 'tiles', fraction: 0 });
  stages.end();
  expect(await metric('stain_stage_seconds_count{stage="fit"}')).toBe(1);
  expect(await metric('stain_stage_seconds_count{stage="store"}')).toBe(0);
  expect(lines.filter(({ job }) => job === 'the-job').map(({ stage }) => stage)).toEqual([
    'open',
    'fit',
    'normalize',
  ]);
});

it('makes a span of each stage, for tracing', async () => {
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

it('omits what a source does not return, and reports whether the database responds', async () => {
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

it('has every counter of a rule from the start, so that the first increase is seen', async () => {
  const metrics = new Metrics({
    jobs: async () => ({ byState: {}, oldestWaitingSeconds: 0 }),
    spool: async () => ({ used: 0, reserved: 0 }),
    device: async () => ({
      requested: 'cpu',
      executionProvider: null,
      reason: null,
      proof: null,
      threads: 1,
    }),
  });
  metrics.readRules(['night'], async () => ({
    sweepAgeSeconds: 3,
    rules: [{ name: 'night', counts: { WAITING: 2 }, lagSeconds: 5 }],
  }));
  const lines = async (): Promise<string[]> => (await metrics.text()).split('\n');
  const before = await lines();
  for (const zero of [
    'stain_rules_sweeps_total{outcome="ok"} 0',
    'stain_rules_sweeps_total{outcome="failed"} 0',
    'stain_rule_series_seen_total{rule="night"} 0',
    'stain_rule_series_done_total{rule="night",outcome="submitted"} 0',
    'stain_rule_series_done_total{rule="night",outcome="refused"} 0',
  ])
    expect(before).toContain(zero);
  expect(before).toContain('stain_rules_sweep_age_seconds 3');
  expect(before).toContain('stain_rule_series{rule="night",state="WAITING"} 2');
  expect(before).toContain('stain_rule_lag_seconds{rule="night"} 5');
  metrics.ruleSaw('night', 2);
  metrics.ruleLine('night', 'refused');
  metrics.sweepEnded('failed');
  const after = await lines();
  expect(after).toContain('stain_rule_series_seen_total{rule="night"} 2');
  expect(after).toContain('stain_rule_series_done_total{rule="night",outcome="refused"} 1');
  expect(after).toContain('stain_rules_sweeps_total{outcome="failed"} 1');
});

it('measures requests by route, and not by address', async () => {
  await fetch(`${app.url}/api/templates?x=secret`);
  expect(
    await metric('stain_http_request_seconds_count{method="GET",route="/api/templates",status="200"}'),
  ).toBe(1);
  expect(await (await fetch(`${app.url}/metrics`)).text()).not.toContain('secret');
});

it('needs the scope of administrators if there is a login', async () => {
  const env = { STAIN_OIDC_ISSUER: 'http://127.0.0.1:1', STAIN_OIDC_AUDIENCE: 'x' };
  await using other = await startApp(jobs, { login: openLogin(loadConfig({ env })) });
  expect((await fetch(`${other.url}/metrics`)).status).toBe(401);
  expect((await fetch(`${other.url}/ready`)).status).toBe(200);
});

it('readiness names the failed check without the reason, and is not checked again for each probe', async () => {
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
