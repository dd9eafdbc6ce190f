/**
 * Measures the pipeline on large slides made of real tiles, and prints tables as Markdown.
 *
 *   npm run bench                                       speed on 100 Mpx of tissue, then peak memory up to 1000 Mpx
 *   npm run bench -- --megapixels 50 --skip-memory
 *   npm run bench -- --skip-speed
 *
 * Every figure of one table is from one run. "Bare loop" is the same network on the same windows with nothing around
 * it: the pipeline can lose to it and not win. Stages are measured one at a time, without overlap.
 */

import { fork } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openArchiveLocation } from '../server/src/cli/archive-location.ts';
import { chooseSeries } from '../server/src/cli/choose-series.ts';
import { type Composition, compose } from '../server/src/composition.ts';
import { loadConfig } from '../server/src/config.ts';
import { FrameSpool } from '../server/src/dicom/frame-spool.ts';
import { newUuid } from '../server/src/dicom/uid.ts';
import { fitStain } from '../server/src/normalization/fit.ts';
import { CORE_SIZE } from '../server/src/normalization/normalize-pixels.ts';
import { normalizeSeries } from '../server/src/normalization/normalize-series.ts';
import type { OpenSeries } from '../server/src/normalization/open-series.ts';
import type { NormalizationRequest, Stage } from '../server/src/normalization/types.ts';
import { Pyramid } from '../server/src/slide/pyramid.ts';
import { WHITE } from '../server/src/slide/raster.ts';
import { windowsOf } from '../server/src/slide/windows.ts';
import { transferCoefficients } from '../server/src/stain/transfer.ts';
import { makeBenchSlideOfSample, openOnly } from './bench-slide.ts';

const signal = new AbortController().signal;
const TEMPLATE = 'he-pink-violet';

interface Place extends AsyncDisposable {
  readonly composition: Composition;
  readonly folder: string;
}

async function createPlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'stain-bench-'));
  const composition = compose(
    loadConfig({ env: { STAIN_SPOOL_DIRECTORY: join(folder, 'spool'), ...process.env } }),
  );
  return {
    composition,
    folder,
    async [Symbol.asyncDispose]() {
      await composition[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

async function makeSlide(
  place: Place,
  name: string,
  size: { columns: number; rows: number },
  tissue: number,
): Promise<string> {
  const folder = join(place.folder, name);
  await makeBenchSlideOfSample(folder, { ...size, tissue }, place.composition);
  return folder;
}

interface Row {
  readonly name: string;
  readonly megapixels: number;
  readonly seconds: number;
}

async function timed(name: string, megapixels: number, work: () => Promise<unknown>): Promise<Row> {
  const start = performance.now();
  await work();
  return { name, megapixels, seconds: (performance.now() - start) / 1000 };
}

/** The network on the slide's own windows, read beforehand, with nothing around it. */
async function bareLoop(place: Place, open: OpenSeries, count: number): Promise<number> {
  const network = await place.composition.network('reference');
  const template = await place.composition.templates.get(TEMPLATE);
  const base = open.base(WHITE);
  const { halo, alignment, classNames } = network.model;
  const windows = [...windowsOf(base.width, base.height, { halo, alignment, coreSize: CORE_SIZE })].slice(
    0,
    count,
  );
  const rasters = [];
  for (const window of windows) rasters.push(await base.read(window, signal));
  const glass = { classes: template.classes, glassDensity: 0.03 };
  const coefficients = transferCoefficients(glass, template, classNames);
  const pixels = windows.reduce((sum, { core }) => sum + core.width * core.height, 0);
  const start = performance.now();
  // All at once: the network takes as many at a time as its device can.
  await Promise.all(
    rasters.map(({ width, height, rgb }) =>
      network.apply({ tile: rgb, width, height, coefficients }, signal),
    ),
  );
  return pixels / 1e3 / (performance.now() - start);
}

async function stages(place: Place, source: string): Promise<Row[]> {
  const { composition } = place;
  await using archive = await openArchiveLocation(source, composition.config, { create: false });
  const series = await chooseSeries(archive.client, {}, signal);
  const instances = await archive.client.searchInstances(
    { StudyInstanceUID: series.studyInstanceUid, SeriesInstanceUID: series.seriesInstanceUid },
    signal,
  );
  await using open = await openOnly(composition, archive);
  const level = open.slide.levels[0]!;
  const megapixels = (level.totalColumns * level.totalRows) / 1e6;
  const rows: Row[] = [];
  rows.push(
    await timed('fetch (all levels, DICOMweb to disk)', megapixels, async () => {
      for (const [i, instance] of instances.entries()) {
        const uid = String(instance['00080018']?.Value?.[0]);
        await pipeline(
          archive.client.retrieveInstance(series.studyInstanceUid, series.seriesInstanceUid, uid, signal),
          createWriteStream(join(place.folder, `fetch-${i}`)),
        );
      }
    }),
  );
  const base = open.base(WHITE);
  const bands = Array.from({ length: Math.ceil(base.height / 1024) }, (_, i) => ({
    x: 0,
    y: i * 1024,
    width: base.width,
    height: Math.min(1024, base.height - i * 1024),
  }));
  rows.push(
    await timed('decode (codec threads)', megapixels, async () => {
      for (const band of bands) await base.read(band, signal);
    }),
  );
  const band = await base.read(bands[0]!, signal);
  rows.push(
    await timed('average (all levels)', megapixels, async () => {
      const pyramid = new Pyramid(open.slide.levels, async () => {});
      for (const { y, height } of bands)
        await pyramid.add(
          { ...band, height, rgb: band.rgb.subarray(0, band.width * height * 3) },
          { x: 0, y },
        );
    }),
  );
  const { rows: tileRows, columns: tileColumns } = level;
  const tile = (await base.read({ x: 0, y: 0, width: tileColumns, height: tileRows }, signal)).rgb;
  const frames = Math.floor((megapixels * 1e6) / (tileRows * tileColumns));
  const encoded: Uint8Array[] = [];
  rows.push(
    await timed('encode (codec threads)', megapixels, async () => {
      for (let i = 0; i < frames; i += 8)
        encoded.push(
          ...(await Promise.all(
            Array.from({ length: Math.min(8, frames - i) }, () =>
              composition.codecs.encode(
                tile.slice(),
                { rows: tileRows, columns: tileColumns, encoding: 'jpeg', quality: 90 },
                signal,
              ),
            ),
          )),
        );
    }),
  );
  rows.push(
    await timed('write (frame spool)', megapixels, async () => {
      await using spool = await FrameSpool.create(join(place.folder, 'bench-frames'), encoded.length);
      for (const [i, bytes] of encoded.entries()) await spool.append(i, bytes);
    }),
  );
  return rows;
}

interface PipelineRun {
  readonly rows: Row[];
  readonly megapixels: number;
  readonly seconds: number;
}

async function runPipeline(place: Place, source: string, destination: string): Promise<PipelineRun> {
  const { composition } = place;
  await using from = await openArchiveLocation(source, composition.config, { create: false });
  await using to = await openArchiveLocation(destination, composition.config, { create: true });
  const request: NormalizationRequest = {
    ...(await chooseSeries(from.client, {}, signal)),
    template: TEMPLATE,
    model: 'reference',
    encoding: 'jpeg',
    quality: 90,
  };
  await composition.network('reference');
  const entered = new Map<Stage, number>();
  const left = new Map<Stage, number>();
  const result = await normalizeSeries(
    request,
    { jobUuid: newUuid(), createdAt: new Date().toISOString() },
    composition.environment({ source: from.client, destination: to.client }),
    {
      signal,
      onProgress({ stage }) {
        const now = performance.now();
        if (!entered.has(stage)) entered.set(stage, [...left.values()].at(-1) ?? now);
        left.set(stage, now);
      },
    },
  );
  const rows = [...entered].map(([stage, start]) => ({
    name: stage,
    megapixels: result.megapixels,
    seconds: (left.get(stage)! - start) / 1000,
  }));
  return { rows, megapixels: result.megapixels, seconds: result.seconds };
}

function print(title: string, rows: readonly Row[]): void {
  console.log(`\n### ${title}\n\n| stage | Mpx/s | seconds |\n|---|---|---|`);
  for (const { name, megapixels, seconds } of rows)
    console.log(`| ${name} | ${(megapixels / seconds).toFixed(2)} | ${seconds.toFixed(1)} |`);
}

/** In a process of its own, so that its peak memory is that of one normalisation. */
async function memoryChild(source: string, destination: string): Promise<void> {
  await using place = await createPlace();
  const { megapixels, seconds } = await runPipeline(place, source, destination);
  const peak = process.resourceUsage().maxRSS / 1024;
  process.send?.({ megapixels, seconds, peak });
}

async function memoryOf(
  source: string,
  destination: string,
): Promise<{ megapixels: number; seconds: number; peak: number }> {
  const child = fork(fileURLToPath(import.meta.url), ['--child', source, destination], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as never));
    child.once('exit', (code) => reject(new Error(`the measured process ended with ${code}`)));
  });
}

async function measureSpeed(place: Place, megapixels: number): Promise<void> {
  const { composition } = place;
  const side = Math.round(Math.sqrt(megapixels * 1e6));
  const slide = await makeSlide(place, 'tissue', { columns: side, rows: side }, 1);
  const network = await composition.network('reference');
  const rows = await stages(place, slide);
  await using archive = await openArchiveLocation(slide, composition.config, { create: false });
  await using open = await openOnly(composition, archive);
  const before = await bareLoop(place, open, 12);
  const fit = await timed('fit (statistics of 16 windows)', 16 * 0.262, () =>
    fitStain(open.base(WHITE), open.overview(WHITE), network, { signal }),
  );
  print(`Stages one at a time, ${megapixels} Mpx, ${network.executionProvider}`, [...rows, fit]);

  const run = await runPipeline(place, slide, join(place.folder, 'result'));
  const after = await bareLoop(place, open, 12);
  const whole = { name: 'whole', megapixels: run.megapixels, seconds: run.seconds };
  print('The pipeline, by stage', [...run.rows, whole]);
  const bare = (before + after) / 2;
  const normalize = run.rows.find(({ name }) => name === 'normalize')!;
  const rate = ({ megapixels, seconds }: Row): number => megapixels / seconds;
  const line = (name: string, row: Row): string =>
    `| ${name} | ${rate(row).toFixed(3)} | ${(rate(row) / bare).toFixed(3)} |`;
  console.log('\n### The pipeline against the bare network\n\n| | Mpx/s | ratio |\n|---|---|---|');
  console.log(`| network in a bare loop, before and after | ${before.toFixed(3)}, ${after.toFixed(3)} | 1 |`);
  console.log(line('normalise stage: decode, network, average, encode, write', normalize));
  console.log(line('whole job, with fetch, fit, store and verify', whole));
}

/** Tissue area is the same in all, so that the larger ones end in bearable time. */
const MEMORY_TISSUE_MEGAPIXELS = 20;
const MEMORY_SIZES = [
  { columns: 10_000, rows: 10_000 },
  { columns: 10_000, rows: 100_000 },
  { columns: 31_623, rows: 31_623 },
];

async function measureMemory(place: Place): Promise<void> {
  console.log(
    `\n### Peak memory of the process, ${MEMORY_TISSUE_MEGAPIXELS} Mpx of tissue, the rest glass\n`,
  );
  console.log('| slide | Mpx | peak, MB | seconds |\n|---|---|---|---|');
  for (const size of MEMORY_SIZES) {
    const name = `${size.columns} x ${size.rows}`;
    const tissue = (MEMORY_TISSUE_MEGAPIXELS * 1e6) / (size.columns * size.rows);
    const slide = await makeSlide(place, name, size, tissue);
    const { megapixels, peak, seconds } = await memoryOf(slide, join(place.folder, `${name} result`));
    console.log(`| ${name} | ${megapixels.toFixed(0)} | ${peak.toFixed(0)} | ${seconds.toFixed(0)} |`);
    await rm(slide, { recursive: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      megapixels: { type: 'string', default: '100' },
      'skip-speed': { type: 'boolean', default: false },
      'skip-memory': { type: 'boolean', default: false },
    },
  });
  await using place = await createPlace();
  const memory = Math.round(totalmem() / 2 ** 30);
  console.log(
    `Machine: ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, ${memory} GiB; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}`,
  );
  console.log('Slides: 256 x 256 JPEG tiles of the sample slide (real H&E), four levels.');
  if (!values['skip-speed']) await measureSpeed(place, Number(values.megapixels));
  if (!values['skip-memory']) await measureMemory(place);
}

const [flag, source, destination] = process.argv.slice(2);
if (flag === '--child') await memoryChild(source!, destination!);
else await main();
