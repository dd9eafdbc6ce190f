/** How often a normalisation asks for the metadata of its source: of a large slide they are a hundred megabytes. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { normalizeAllCommand } from '../../server/src/cli/normalize-all-command.ts';
import { normalizeCommand } from '../../server/src/cli/normalize-command.ts';
import { createLogger } from '../../server/src/http/log.ts';
import type { JobService } from '../../server/src/jobs/job-service.ts';
import { openJobService } from '../../server/src/wiring/job-service.ts';
import { copySample } from '../support/copy-slide.ts';
import { type FaultProxy, type Injection, startFaultProxy } from '../support/fault-proxy.ts';
import { createWorkplace, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { NO_JOBS, testMetrics } from '../support/test-app.ts';
import { create, request, until } from './support.ts';

const MEANS = { template: TEMPLATE, model: 'fast', transfer: 'linear' } as const;
const { signal } = new AbortController();

let archive: ServedArchive;
let proxy: FaultProxy;
let place: Workplace;
beforeAll(async () => {
  archive = await serveArchive();
  proxy = await startFaultProxy(archive.url);
  place = await createWorkplace();
});
afterAll(async () => {
  await place[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await archive[Symbol.asyncDispose]();
});

interface AddedSlide {
  readonly series: { readonly studyInstanceUid: string; readonly seriesInstanceUid: string };
  /** Those for its metadata. */
  readonly requests: Injection;
  /** Adds a level. */
  grow(): Promise<void>;
}

async function addSlide(name: string): Promise<AddedSlide> {
  const { files, studyInstanceUid, seriesInstanceUid } = await copySample(name, [1, 2, 3]);
  const add = async (from: number, to?: number) => {
    for (const [i, file] of files.slice(from, to).entries())
      await writeFile(join(archive.folder, `${name}-${from + i}.dcm`), file);
    await archive.archive.rescan();
  };
  await add(1);
  const metadata = new RegExp(`/series/${seriesInstanceUid}(/instances/[^/]+)?/metadata`);
  const requests = proxy.inject(
    ({ url }) => metadata.test(url!),
    async (exchange) => exchange.pass(await exchange.ask()),
  );
  return { series: { studyInstanceUid, seriesInstanceUid }, requests, grow: () => add(0, 1) };
}

/** The jobs of one process, with its database in a folder. @param concurrency 0 if others run them */
async function openProcess(concurrency: number): Promise<JobService & AsyncDisposable> {
  const { config } = place.composition;
  const { client } = await place.open(proxy.url);
  const onFault = (error: unknown): void => {
    throw error;
  };
  const jobs = await openJobService(
    {
      ...config,
      database: { ...config.database, directory: join(place.folder, 'database') },
      jobs: { ...config.jobs, concurrency },
    },
    () => place.composition.environment({ source: client, destination: client }),
    {
      log: createLogger({ level: 'silent' }),
      metrics: testMetrics(NO_JOBS),
      audit: { record() {} },
      onFault,
    },
  );
  return Object.assign(jobs, {
    async [Symbol.asyncDispose]() {
      await jobs.close();
      await client.close();
    },
  });
}

it('a job that starts at once: once', async () => {
  const { series, requests } = await addSlide('at once');
  await using jobs = await openProcess(1);
  const { job } = await create(jobs, request({ ...series, ...MEANS }));
  expect(await until(jobs, job.id, 'COMPLETED', 'FAILED')).toMatchObject({ state: 'COMPLETED' });
  expect(requests.met).toBe(1);
});

it('a job that another process runs: once more, and a slide that has changed since is noticed', async () => {
  const [same, changed] = [await addSlide('same'), await addSlide('changed')];
  const created = await (async () => {
    await using jobs = await openProcess(0);
    return [
      await create(jobs, request({ ...same.series, ...MEANS })),
      await create(jobs, request({ ...changed.series, ...MEANS })),
    ];
  })();
  await changed.grow();
  await using jobs = await openProcess(1);
  const ended = await Promise.all(created.map(({ job }) => until(jobs, job.id, 'COMPLETED', 'FAILED')));
  expect(ended[0]).toMatchObject({ state: 'COMPLETED' });
  expect(ended[1]).toMatchObject({ state: 'FAILED', error: { code: 'SOURCE_CHANGED' } });
  expect([same.requests.met, changed.requests.met]).toEqual([2, 2]);
});

const commandArguments = () => ({ source: proxy.url, destination: join(place.folder, 'made'), ...MEANS });

it('the command line: once', async () => {
  const { series, requests } = await addSlide('command');
  const { studyInstanceUid: study, seriesInstanceUid } = series;
  await normalizeCommand(
    { ...commandArguments(), study, series: seriesInstanceUid },
    place.composition,
    signal,
  );
  expect(requests.met).toBe(1);
});

it('the command line for many slides that may be arriving: once more, to see that they are not', async () => {
  const { series, requests } = await addSlide('settling');
  const { config, environment } = place.composition;
  const { failed } = await normalizeAllCommand(
    { ...commandArguments(), query: [`StudyInstanceUID=${series.studyInstanceUid}`] },
    {
      ...place.composition,
      environment,
      config: { ...config, jobs: { ...config.jobs, stableSeconds: 0.1 } },
    },
    signal,
  );
  expect([failed, requests.met]).toEqual([0, 2]);
});
