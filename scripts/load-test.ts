/**
 * `npm run bench:load`: whether the service answers while it works. A real service with its embedded archive, four slides being
 * processed, and users who poll lists, states and stains and follow jobs by events. Prints the latencies by route, and
 * exits with 1 if the 95th percentile of the API is 200 ms or more.
 */
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isFinal, type Job } from '../core/src/contract/index.ts';
import { readArguments } from './arguments.ts';
import { createPlace, makeSlide } from './bench-run.ts';
import { at, startService } from './bench-service.ts';

const { values } = readArguments({
  usage: 'npm run bench:load --',
  about: `Measures whether the service answers while it works: users poll and follow jobs while slides are processed.
Prints the latencies by route and exits with 1 if the 95th percentile of the API exceeds the limit.`,
  options: {
    users: { type: 'string', default: '20', value: 'N', help: 'users at the same time' },
    jobs: { type: 'string', default: '4', value: 'N', help: 'slides processed at the same time' },
    size: { type: 'string', default: '6000', value: 'N', help: 'columns and rows of each slide' },
    limit: { type: 'string', default: '200', value: 'N', help: 'limit in milliseconds' },
    model: {
      type: 'string',
      default: 'fast',
      value: 'NAME',
      help: 'model; "npm run cli -- info" lists them',
    },
  },
});
const users = Number(values.users);
const jobCount = Number(values.jobs);
const TEMPLATES = ['he-magenta', 'he-pink-violet'];
/** Average pause between two requests of one user. */
const THINKING_MS = 500;

await using place = await createPlace();
const archive = join(place.folder, 'archive');
await mkdir(archive);
for (let i = 0; i < jobCount; i++) {
  const size = Number(values.size);
  const slide = await makeSlide(place, `slide-${i}`, { columns: size, rows: size }, 0.6);
  await rename(slide, join(archive, `slide-${i}`));
}

const service = await startService(place, {
  STAIN_JOBS_CONCURRENCY: String(jobCount),
  STAIN_LIMITS_REQUESTS_PER_SECOND: '1000',
  // All users of this test share one address.
  STAIN_LIMITS_REQUESTS_PER_SECOND_PER_ADDRESS: '10000',
  STAIN_LIMITS_EVENT_STREAMS_PER_USER: String(users),
  STAIN_ARCHIVE_FOLDER: archive,
});
const { url } = service;

const latencies = new Map<string, number[]>();
const failures = new Map<string, number>();
async function ask(route: string, path: string, body?: object): Promise<unknown> {
  const start = performance.now();
  const response = await fetch(url + path, {
    ...(body && {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json' },
    }),
  });
  const answer = await response.json();
  const known = latencies.get(route) ?? [];
  latencies.set(route, known);
  known.push(performance.now() - start);
  if (!response.ok) failures.set(route, (failures.get(route) ?? 0) + 1);
  return answer;
}

const series = (await (await fetch(`${url}/dicom-web/series?Modality=SM`)).json()) as Record<
  string,
  { Value: string[] }
>[];
const slides = series.map((item) => ({
  studyInstanceUid: item['0020000D']!.Value[0]!,
  seriesInstanceUid: item['0020000E']!.Value[0]!,
}));
const jobs: Job[] = [];
for (const [i, slide] of slides.entries())
  jobs.push(
    (await ask('POST /api/normalizations', '/api/normalizations', {
      ...slide,
      template: TEMPLATES[i % TEMPLATES.length],
      model: values.model,
    })) as Job,
  );

let isOver = false;
const over = new AbortController();
let events = 0;
/** Half of the users poll; the other half follow a job by its events and browse in the meantime. */
async function user(number: number): Promise<void> {
  const job = jobs[number % jobs.length]!;
  const slide = slides[number % slides.length]!;
  if (number % 2 === 0) void follow(job.id);
  while (!isOver) {
    await ask('GET /api/normalizations/:id', `/api/normalizations/${job.id}`);
    await pause(THINKING_MS * (0.5 + Math.random()));
    await ask('GET /api/normalizations', '/api/normalizations?limit=20');
    await pause(THINKING_MS * (0.5 + Math.random()));
    await ask('GET /api/templates', '/api/templates');
    await ask('GET /ready', '/ready');
    await ask('GET /dicom-web/.../series', `/dicom-web/studies/${slide.studyInstanceUid}/series`);
    await pause(THINKING_MS * (0.5 + Math.random()));
  }
}

async function follow(id: string): Promise<void> {
  const response = await fetch(`${url}/api/normalizations/${id}/events`, { signal: over.signal });
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body!) events += decoder.decode(chunk).split('event: job').length - 1;
  } catch {
    // The test is over.
  }
}

const began = performance.now();
const everybody = Promise.all(Array.from({ length: users }, (_, i) => user(i)));
for (const { id } of jobs)
  for (;;) {
    const { state, error } = (await ask('GET /api/normalizations/:id', `/api/normalizations/${id}`)) as Job;
    if (error) throw new Error(`${error.code}: ${error.message}`);
    if (isFinal(state)) break;
    await pause(1000);
  }
const seconds = (performance.now() - began) / 1000;
isOver = true;
await everybody;
over.abort();
const metrics = await (await fetch(`${url}/metrics`)).text();
const lag = (name: string): number =>
  Number(new RegExp(`^nodejs_eventloop_lag_${name}_seconds (\\S+)`, 'm').exec(metrics)?.[1]) * 1000;
await service.stop();

const megapixels = (Number(values.size) ** 2 * jobCount) / 1e6;
console.log(
  `${users} users, ${jobCount} slides of ${values.size} x ${values.size} in work at once (${values.model}):`,
);
console.log(`${seconds.toFixed(0)} s, ${(megapixels / seconds).toFixed(1)} Mpx/s, ${events} events\n`);
console.log(
  '| route | requests | p50 ms | p95 ms | p99 ms | max ms |\n| --- | --- | --- | --- | --- | --- |',
);
const all: number[] = [];
for (const [route, times] of latencies) {
  const sorted = times.toSorted((a, b) => a - b);
  if (!route.includes('dicom-web')) all.push(...times);
  console.log(row(route, sorted));
}
all.sort((a, b) => a - b);
console.log(row('**the API**', all));
console.log(
  `\nEvent loop: p50 ${lag('p50').toFixed(0)} ms, p99 ${lag('p99').toFixed(0)} ms, max ${lag('max').toFixed(0)} ms`,
);
if (failures.size > 0) console.log('Failures:', Object.fromEntries(failures));
process.exitCode = at(all, 0.95) < Number(values.limit) && failures.size === 0 ? 0 : 1;

function row(route: string, sorted: readonly number[]): string {
  const figures = [at(sorted, 0.5), at(sorted, 0.95), at(sorted, 0.99), sorted.at(-1)!];
  return `| ${route} | ${sorted.length} | ${figures.map((ms) => ms.toFixed(0)).join(' | ')} |`;
}
