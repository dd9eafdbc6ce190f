/**
 * Continues to train both networks on your own slides, and makes a model folder from the result.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { StainError, toStainError } from '../core/src/errors.ts';
import { shellWord } from '../server/src/cli/terminal-text.ts';
import { readArguments } from './arguments.ts';
import { trainingPictures } from './training-pictures.ts';
import { requireRun, saveRun } from './training-run.ts';

const MODELS = fileURLToPath(new URL('../models/onnx/', import.meta.url));
/** The folder in which the command was given; npm runs it in the checkout. */
const GIVEN_IN = (process.env['npm_lifecycle_event'] === 'retrain' && process.env['INIT_CWD']) || '.';
/** A bare name is looked up. */
const NAMED = process.env['STAIN_PYTHON'] ?? 'python3';
const PYTHON = dirname(NAMED) === '.' && !NAMED.startsWith('.') ? NAMED : resolve(GIVEN_IN, NAMED);

const { values, positionals } = readArguments({
  usage: 'npm run retrain -- SOURCE --out FOLDER',
  about: `Continues to train both networks on your own slides and makes a model folder from the result. Training starts from the
shipped weights. SOURCE is a DICOMweb URL or a folder of DICOM files, whose whole-slide series are all used, or a
folder with one folder of pictures per laboratory. All must be H&E. The same command again continues an interrupted
training. Needs Python with scripts/requirements.txt; STAIN_PYTHON names it.`,
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
const out = resolve(GIVEN_IN, values.out!);
const stop = new AbortController();
for (const end of ['SIGINT', 'SIGTERM'] as const) process.once(end, () => stop.abort());
const { signal } = stop;
await retrain().catch((error: unknown) => {
  if (signal.aborted) {
    console.error('Interrupted. The same command continues.');
    process.exit(130);
  }
  const { code, message, remedy } = toStainError(error);
  console.error(`Error (${code}): ${message}\n${remedy}`);
  process.exit(1);
});

async function retrain(): Promise<void> {
  const { steps, 'distil-steps': distilSteps, study } = values;
  for (const number of [steps, distilSteps])
    if (!/^[1-9]\d*$/.test(number))
      throw new StainError('REQUEST_INVALID', `The number of steps must be a whole number, not "${number}".`);
  const location = /^https?:/i.test(source) ? source : resolve(GIVEN_IN, source);
  const run = { source: location, ...(study && { study }), steps, distilSteps };
  await requireRun(out, run);
  const pictures = await trainingPictures({ location, study }, out, signal);
  await saveRun(out, run);
  const [trained, distilled, models] = [join(out, 'reference'), join(out, 'fast'), join(out, 'models')];
  const continued = (init: string, folder: string, count: string) => [
    ...['--data', pictures, '--init', join(MODELS, init), '--out', folder, '--steps', count, '--resume'],
  ];
  await python('train', ...continued('reference.npz', trained, steps));
  const teacher = weights(trained, steps);
  await python('distil', '--teacher', teacher, ...continued('fast.npz', distilled, distilSteps));
  // Headers of results and messages name the version: the shipped one would hide that this is another model.
  const version = `own-${createHash('sha256')
    .update(await readFile(teacher))
    .digest('hex')
    .slice(0, 4)}`;
  const from = ['--reference', teacher, '--fast', weights(distilled, distilSteps)];
  await python('export', ...from, '--version', version, '--out', models);
  await mkdir(join(models, 'templates'), { recursive: true });
  await copyFile(join(MODELS, 'README.md'), join(models, 'README.shipped-models.md'));
  // A template is the stain of one laboratory. A few pictures of every slide, because all are held in memory.
  const ofTemplate =
    pictures === location ? `${shellWord(pictures)}/LABORATORY/*` : `${shellWord(pictures)}/*/00[0-3].png`;
  const use = `STAIN_MODELS_DIRECTORY=${shellWord(models)}`;
  console.log(`
Done. To use the new model, version ${version}: ${use}
Templates belong to a model; make yours, for example:
  ${use} npm run --silent cli -- template add mine ${ofTemplate} --name "Ours" --licence "own"`);
}

function weights(folder: string, count: string): string {
  return join(folder, `step${count.padStart(5, '0')}.npz`);
}

/** Runs a module of scripts/dcgmm and waits for it. @throws CONFIGURATION_INVALID if there is no Python */
async function python(module: string, ...args: string[]): Promise<void> {
  const child = spawn(PYTHON, ['-m', `dcgmm.${module}`, ...args], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    stdio: 'inherit',
    signal,
  });
  const [code] = await once(child, 'exit').catch((cause: unknown) => {
    throw new StainError(
      'CONFIGURATION_INVALID',
      `Python cannot be started: "${PYTHON}". STAIN_PYTHON names it.`,
      { cause },
    );
  });
  if (code !== 0)
    throw new StainError(
      'REQUEST_INVALID',
      `dcgmm.${module} ended with exit code ${code}; the lines above say why.`,
    );
}
