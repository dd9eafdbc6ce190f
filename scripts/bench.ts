/**
 * Measures the pipeline on large slides made from real tiles, and prints Markdown tables.
 *
 *   npm run bench                                       speed, time against tissue and size, peak memory up to 8 Gpx
 *   npm run bench -- --model reference --megapixels 50 --skip-memory
 *   npm run bench -- FOLDER ...                         these slides too, for the error of sampling
 *   npm run bench -- --skip-speed --skip-scaling --chart docs/benchmarks/stages.png
 *   npm run bench -- --skip-speed --skip-scaling --skip-memory --linear 500:0.5,500:0.5:profile,10000:0.25
 *
 * Every figure of one table is from one run. "Bare loop" is the same network on the same windows and nothing else, an
 * upper limit for the pipeline. Stages are measured one at a time, without overlap.
 */
import { fork } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEFAULT_MODEL } from '../core/src/contract/default-model.ts';
import { WHITE } from '../core/src/image/raster.ts';
import { collectAtOnce } from '../server/src/cli/collect-at-once.ts';
import { fitStain } from '../server/src/pipeline/fit.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { readArguments } from './arguments.ts';
import { Trace } from './bench-chart.ts';
import { measureLinear } from './bench-linear.ts';
import { measurePreview } from './bench-preview.ts';
import { createPlace, makeSlide, type Place, type Row, runPipeline, signal, timed } from './bench-run.ts';
import { measureSampling } from './bench-sampling.ts';
import { measureScaling } from './bench-scaling.ts';
import { openOnly, SAMPLE } from './bench-slide.ts';
import { bareLoop, stages } from './bench-stages.ts';
import { NODE_OPTIONS } from './start-product.ts';

function print(title: string, rows: readonly Row[]): void {
  console.log(`\n### ${title}\n\n| stage | Mpx/s | seconds |\n|---|---|---|`);
  for (const { name, megapixels, seconds } of rows)
    console.log(`| ${name} | ${(megapixels / seconds).toFixed(2)} | ${seconds.toFixed(1)} |`);
}

async function measureSpeed(
  place: Place,
  megapixels: number,
  model: string,
  chart: string | undefined,
): Promise<void> {
  const { composition } = place;
  const side = Math.round(Math.sqrt(megapixels * 1e6));
  const slide = await makeSlide(place, 'tissue', { columns: side, rows: side }, 1);
  const network = await composition.network(model);
  const rows = await stages(place, slide);
  await using archive = await openArchiveLocation(slide, composition.config, { create: false });
  await using open = await openOnly(composition, archive);
  const before = await bareLoop(place, open, model, 12);
  let sampled = 0;
  const fit = await timed('fit', megapixels, async () => {
    const found = await fitStain(open.base(WHITE), open.overviews(WHITE), network, { signal });
    sampled = found.sampledTiles;
  });
  const title = `Stages one at a time, ${megapixels} Mpx of tissue, \`${model}\`, ${network.executionProvider}`;
  print(title, [...rows, { ...fit, name: `fit (statistics of ${sampled} windows)` }]);

  const trace = new Trace();
  const run = await runPipeline(place, slide, join(place.folder, 'result'), model, 'paper', trace.watch);
  if (chart)
    await trace.write(
      chart,
      run.rows,
      `${megapixels} Mpx of tissue, ${model}, ${availableParallelism()} cores`,
    );
  const after = await bareLoop(place, open, model, 12);
  const whole = { name: 'whole', megapixels: run.result.megapixels, seconds: run.result.seconds };
  print('The pipeline, by stage', [...run.rows, whole]);
  console.log(
    `\nDelay of the event loop: 99th percentile ${run.delay.p99.toFixed(1)} ms, maximum ${run.delay.max.toFixed(1)} ms.`,
  );
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

/** In a separate process, so that its peak memory is that of one normalisation. */
async function memoryChild(source: string, destination: string, model: string): Promise<void> {
  await using place = await createPlace();
  const { megapixels, seconds } = (await runPipeline(place, source, destination, model)).result;
  const peak = process.resourceUsage().maxRSS / 1024;
  process.send?.({ megapixels, seconds, peak });
}

async function memoryOf(
  source: string,
  destination: string,
  model: string,
): Promise<{ megapixels: number; seconds: number; peak: number }> {
  const child = fork(fileURLToPath(import.meta.url), ['--child', source, destination, model], {
    stdio: 'inherit',
    execArgv: [...NODE_OPTIONS],
  });
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as never));
    child.once('exit', (code) => reject(new Error(`the measured process ended with ${code}`)));
  });
}

/** The tissue area is the same in all of them, so that the larger ones finish in acceptable time. */
const MEMORY_TISSUE_MEGAPIXELS = 20;
const MEMORY_SIZES = [
  { columns: 31_623, rows: 31_623 },
  { columns: 10_000, rows: 100_000 },
  { columns: 63_246, rows: 63_246 },
  { columns: 89_443, rows: 89_443 },
  { columns: 141_421, rows: 141_421 },
];

async function measureMemory(place: Place, model: string): Promise<void> {
  console.log(
    `\n### Peak memory of the process, ${MEMORY_TISSUE_MEGAPIXELS} Mpx of tissue, the rest glass, \`${model}\`\n`,
  );
  console.log('| slide | Mpx | peak, MB | seconds |\n|---|---|---|---|');
  for (const size of MEMORY_SIZES) {
    const name = `${size.columns} x ${size.rows}`;
    const tissue = (MEMORY_TISSUE_MEGAPIXELS * 1e6) / (size.columns * size.rows);
    const slide = await makeSlide(place, name, size, tissue);
    const { megapixels, peak, seconds } = await memoryOf(slide, join(place.folder, `${name} result`), model);
    console.log(`| ${name} | ${megapixels.toFixed(0)} | ${peak.toFixed(0)} | ${seconds.toFixed(0)} |`);
    await rm(slide, { recursive: true });
    await rm(join(place.folder, `${name} result`), { recursive: true });
  }
}

/** MEGAPIXELS:TISSUE[:profile],... */
function sizesOf(text: string): { megapixels: number; tissue: number; isProfiled: boolean }[] {
  return text.split(',').map((one) => {
    const [megapixels, tissue, profile] = one.split(':');
    return { megapixels: Number(megapixels), tissue: Number(tissue), isProfiled: profile === 'profile' };
  });
}

async function main(): Promise<void> {
  const { values, positionals } = readArguments({
    usage: 'npm run bench -- [FOLDER ...]',
    about: `Measures the pipeline on large slides made from real tiles. Prints Markdown tables. The slides in FOLDER are
  also used, to measure the error of sampling.`,
    positionals: [0, Number.POSITIVE_INFINITY],
    options: {
      megapixels: { type: 'string', default: '100', value: 'N', help: 'size of the slide' },
      model: {
        type: 'string',
        default: DEFAULT_MODEL,
        value: 'NAME',
        help: 'model; "npm run cli -- info" lists them',
      },
      chart: { type: 'string', value: 'FILE', help: 'timeline of all tasks, as a picture' },
      'skip-speed': { type: 'boolean', default: false, help: 'skip speed and stages' },
      'skip-preview': { type: 'boolean', default: false, help: 'skip the preview of a region' },
      'skip-sampling': { type: 'boolean', default: false, help: 'skip the error of sampling' },
      'skip-scaling': { type: 'boolean', default: false, help: 'skip time against tissue and size' },
      'skip-memory': { type: 'boolean', default: false, help: 'skip peak memory, up to 20 gigapixels' },
      'skip-linear': { type: 'boolean', default: false, help: 'skip the linear transfer' },
      linear: {
        type: 'string',
        default: '500:0.5,500:0.5:profile,500:1,10000:0.25',
        value: 'LIST',
        help: 'slides for the linear transfer, as MEGAPIXELS:TISSUE[:profile],...',
      },
    },
  });
  const { model, chart } = values;
  const megapixels = Number(values.megapixels);
  await using place = await createPlace();
  const memory = Math.round(totalmem() / 2 ** 30);
  console.log(
    `Machine: ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, ${memory} GiB; Node ${process.version}; ${new Date().toISOString().slice(0, 10)}`,
  );
  console.log('Slides: 256 x 256 JPEG tiles of the sample slide (real H&E), four levels.');
  if (!values['skip-speed']) await measureSpeed(place, megapixels, model, chart);
  if (!values['skip-sampling']) await measureSampling(place, [SAMPLE, ...positionals], model);
  if (!values['skip-preview']) await measurePreview(place, SAMPLE, model);
  if (!values['skip-scaling']) await measureScaling(place, megapixels, model);
  if (!values['skip-linear']) await measureLinear(place, model, sizesOf(values.linear));
  if (!values['skip-memory']) await measureMemory(place, model);
}

const [flag, source, destination, model] = process.argv.slice(2);
// As the commands do.
collectAtOnce();
if (flag === '--child') await memoryChild(source!, destination!, model!);
else await main();
