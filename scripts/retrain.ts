/**
 * Continues to train both networks on your own slides, and makes a model folder from the result.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StainError, toStainError } from '../core/src/errors.ts';
import { WHITE } from '../core/src/image/raster.ts';
import { isPicture } from '../server/src/cli/image-commands.ts';
import { writeImage } from '../server/src/codec/image-file.ts';
import { loadConfig } from '../server/src/config.ts';
import { textOf } from '../server/src/dicom/json-model.ts';
import { chooseSamples, surveyTissue } from '../server/src/pipeline/fit.ts';
import { openSeries } from '../server/src/pipeline/open-series.ts';
import { ProgressTracker } from '../server/src/pipeline/progress.ts';
import type { SeriesReference } from '../server/src/pipeline/series-reference.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { compose } from '../server/src/wiring/composition.ts';
import { readArguments } from './arguments.ts';

/** Training pictures: their side in pixels, and their number per slide. */
const WINDOWS = { halo: 0, alignment: 4, coreSize: 512 };
const PICTURES_PER_SLIDE = 16;
const MODELS = fileURLToPath(new URL('../models/onnx/', import.meta.url));

const { values, positionals } = readArguments({
  usage: 'npm run retrain -- SOURCE --out FOLDER',
  about: `Continues to train both networks on your own slides and makes a model folder from the result. Training starts from the
shipped weights. SOURCE is a DICOMweb URL or a folder of DICOM files, whose whole-slide series are all used, or a
folder with one folder of pictures per laboratory. Needs Python with scripts/requirements.txt; STAIN_PYTHON
names it.`,
  positionals: [1, 1],
  required: ['out'],
  options: {
    out: { type: 'string', value: 'FOLDER', help: 'folder for weights, graphs and models' },
    study: { type: 'string', value: 'UID', help: 'only the slides of this study' },
    steps: { type: 'string', default: '700', value: 'N', help: 'training steps of the reference network' },
    'distil-steps': {
      type: 'string',
      default: '1500',
      value: 'N',
      help: 'training steps of the fast network',
    },
  },
});
const source = positionals[0]!;
const out = resolve(values.out!);
const stop = new AbortController();
for (const end of ['SIGINT', 'SIGTERM'] as const) process.once(end, () => stop.abort());
const { signal } = stop;

const pictures = (await holdsPictures(source)) ? resolve(source) : join(out, 'pictures');
if (pictures !== resolve(source))
  await writePictures(source, pictures).catch((error: unknown) => {
    signal.throwIfAborted();
    const { code, message } = toStainError(error);
    console.error(`${code}: ${message}`);
    process.exit(1);
  });
const [trained, distilled, models] = [join(out, 'reference'), join(out, 'fast'), join(out, 'models')];
const [steps, distilSteps] = [values.steps, values['distil-steps']];
const weights = (folder: string, count: string): string => join(folder, `step${count.padStart(5, '0')}.npz`);
await mkdir(models, { recursive: true });
await python(
  'train',
  '--data',
  pictures,
  '--out',
  trained,
  '--init',
  join(MODELS, 'reference.npz'),
  '--steps',
  steps,
  '--resume',
);
const teacher = weights(trained, steps);
await python(
  'distil',
  '--data',
  pictures,
  '--teacher',
  teacher,
  '--init',
  join(MODELS, 'fast.npz'),
  '--out',
  distilled,
  '--steps',
  distilSteps,
  '--resume',
);
await python('export', '--reference', teacher, '--fast', weights(distilled, distilSteps), '--out', models);
await mkdir(join(models, 'templates'), { recursive: true });
await copyFile(join(MODELS, 'README.md'), join(models, 'README.shipped-models.md'));
// A template is fitted to slides, or to the pictures of one laboratory.
const templateOf = pictures === resolve(source) ? 'LABORATORY/*.png' : source;
console.log(`
Done. To use the new model: STAIN_MODELS_DIRECTORY=${models}
Templates belong to a model; make yours, for example:
  STAIN_MODELS_DIRECTORY=${models} npm run --silent cli -- template add mine ${templateOf} --name "Ours" --licence "own"`);

/** Whether the folder contains a folder of pictures. */
async function holdsPictures(folder: string): Promise<boolean> {
  if (/^https?:/i.test(folder)) return false;
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  return entries.some((entry) => entry.isFile() && isPicture(entry.name));
}

/** Tissue windows of every whole-slide series, as pictures: one folder per series. */
async function writePictures(location: string, folder: string): Promise<void> {
  await using composition = compose(loadConfig({ env: process.env }));
  await using archive = await openArchiveLocation(location, composition.config, { create: false });
  const wanted = { Modality: 'SM', ...(values.study ? { StudyInstanceUID: values.study } : {}) };
  const found = await archive.client.searchSeries(wanted, signal);
  console.log(`${found.length} whole-slide series in ${archive.name}`);
  const access = composition.environment({ source: archive.client, destination: archive.client });
  let written = 0;
  for (const [at, json] of found.entries()) {
    const series: SeriesReference = {
      studyInstanceUid: textOf(json, '0020000D') ?? values.study ?? '',
      seriesInstanceUid: textOf(json, '0020000E') ?? '',
    };
    try {
      await using open = await openSeries(series, access, new ProgressTracker(() => {}), signal);
      const base = open.base(WHITE);
      const survey = await surveyTissue(base, open.overviews(WHITE), WINDOWS, signal);
      const samples = chooseSamples(survey.windows, PICTURES_PER_SLIDE);
      // UIDs of slides may be traced to patients: folders are numbered.
      const place = join(folder, `slide-${String(at + 1).padStart(4, '0')}`);
      await mkdir(place, { recursive: true });
      for (const [i, { window }] of samples.entries())
        await writeImage(join(place, `${String(i).padStart(3, '0')}.png`), await base.read(window, signal));
      written += samples.length;
      console.log(`  ${at + 1} of ${found.length}: ${samples.length} pictures`);
    } catch (error) {
      signal.throwIfAborted();
      console.log(`  ${at + 1} of ${found.length} left out: ${toStainError(error).code}`);
    }
  }
  if (written === 0)
    throw new StainError(
      'SERIES_NOT_FOUND',
      `There is no whole-slide series to learn from in ${archive.name}.`,
    );
}

/** Runs a module of scripts/dcgmm and waits for it. */
async function python(module: string, ...args: string[]): Promise<void> {
  const child = spawn(process.env['STAIN_PYTHON'] ?? 'python3', ['-m', `dcgmm.${module}`, ...args], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: 'inherit',
    signal,
  });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`dcgmm.${module} ended with exit code ${code}.`);
}
