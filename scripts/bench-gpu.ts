/**
 * Measures the graphs on a GPU against the same networks in PyTorch on the same card, and prints Markdown tables.
 *
 *   npm run bench:gpu                                  CUDA; exits with 1, and reports nothing, without it
 *   npm run bench:gpu -- --device cuda:1 --seconds 5
 *   npm run bench:gpu -- --device cpu --quick          the same code on a CPU, only to try it out
 *
 * STAIN_PYTHON names a Python with scripts/requirements.txt and a torch for the card. A figure is the mean over at least
 * `--seconds`, pixels in the host's memory to pixels in the host's memory. Every figure of one table is from one run.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { toStainError } from '../core/src/errors.ts';
import { readDriver } from '../server/src/inference/cuda/driver.ts';
import { installedRuntime } from '../server/src/inference/cuda/runtime.ts';
import { describeProof } from '../server/src/inference/device-proof.ts';
import { type LoadedModel, loadModel } from '../server/src/inference/manifest.ts';
import type { WorkerStart } from '../server/src/inference/messages.ts';
import { type Device, openNetwork } from '../server/src/inference/network.ts';
import { readArguments } from './arguments.ts';
import { measurePyTorch, type PyTorchSpeed, writeHalfGraphs } from './bench-gpu-pytorch.ts';
import { type GraphKind, openMeasuredSession, type SessionStart, type Shape } from './bench-gpu-session.ts';

const MODELS = fileURLToPath(new URL('../models/onnx/', import.meta.url));
const NAMES = ['fast', 'reference'] as const;
const KINDS: readonly GraphKind[] = ['statistics', 'apply'];
type Precision = 'fp32' | 'fp16';

/** At most 2048 x 2048 pixels per run; 1056 is the product's own window, a core of 1024 with its halo. */
const SHAPES: readonly Shape[] = [
  { size: 512, batch: 1 },
  { size: 512, batch: 4 },
  { size: 512, batch: 16 },
  { size: 1024, batch: 1 },
  { size: 1024, batch: 4 },
  { size: 1056, batch: 1 },
  { size: 2048, batch: 1 },
];
const QUICK_SHAPES: readonly Shape[] = [{ size: 512, batch: 1 }];

/**
 * Upper bounds for one H100, computed layer by layer from memory bandwidth and arithmetic, not measured: the reference
 * network as its graph is written, Mpx/s.
 */
const ROOFLINE_H100: Readonly<Record<Precision, number>> = { fp32: 717, fp16: 1434 };

interface Setting {
  readonly device: Device;
  readonly providers: WorkerStart['providers'];
  readonly isCuda: boolean;
  readonly shapes: readonly Shape[];
  readonly seconds: number;
  readonly threads: number;
}

interface Measurement extends Shape {
  readonly model: string;
  readonly kind: GraphKind;
  readonly precision: Precision;
  /** Mpx/s of one session alone, and of two together; undefined if the memory did not suffice. */
  readonly one: number | undefined;
  readonly two: number | undefined;
}

/** Runs all sessions at once and adds up their throughput. */
async function measureShape(
  start: SessionStart,
  sessions: number,
  shapes: readonly Shape[],
  seconds: number,
): Promise<(number | undefined)[]> {
  const opened = [];
  for (let i = 0; i < sessions; i++) opened.push(await openMeasuredSession(start));
  const speeds: (number | undefined)[] = [];
  for (const shape of shapes)
    try {
      for (const session of opened) await session.run({ ...shape, seconds: 0 });
      const running = opened.map((session) => session.run({ ...shape, seconds }));
      // A session must not be called again while it runs, so wait for all of them, even if one fails.
      await Promise.allSettled(running);
      const answers = await Promise.all(running);
      speeds.push(answers.reduce((sum, { megapixelsPerSecond }) => sum + megapixelsPerSecond, 0));
    } catch (error) {
      process.stderr.write(`${start.kind} ${shape.size} x ${shape.batch}: ${(error as Error).message}\n`);
      speeds.push(undefined);
    }
  for (const session of opened) await session.close();
  return speeds;
}

async function measure(
  model: LoadedModel,
  precision: Precision,
  folder: string,
  { providers, threads, shapes, seconds }: Setting,
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const kind of KINDS) {
    const graph = join(folder, `${model.name}.${kind}.onnx`);
    const start = { graph, kind, providers, threads, classes: model.classes };
    const one = await measureShape(start, 1, shapes, seconds);
    const two = await measureShape(start, 2, shapes, seconds);
    for (const [i, shape] of shapes.entries())
      measurements.push({ model: model.name, kind, precision, ...shape, one: one[i], two: two[i] });
  }
  return measurements;
}

/** Difference in grey levels between the 16-bit graph on the device and the shipped graph on the CPU, for one tile. */
async function differenceOfHalf(model: LoadedModel, folder: string, setting: Setting): Promise<string> {
  const outputOf = async (graphs: string, providers: WorkerStart['providers']) => {
    const { threads } = setting;
    const graph = join(graphs, `${model.name}.apply.onnx`);
    const session = await openMeasuredSession({
      graph,
      kind: 'apply',
      providers,
      threads,
      classes: model.classes,
    });
    const { output } = await session.run({ size: 512, batch: 1, seconds: 0 });
    await session.close();
    return output;
  };
  const cpu = await outputOf(MODELS, [{ name: 'cpu' }]);
  const half = await outputOf(folder, setting.providers);
  const differences = Float64Array.from(half, (value, i) => Math.abs(value - cpu[i]!));
  const mean = differences.reduce((sum, value) => sum + value, 0) / differences.length;
  const largest = differences.reduce((max, value) => Math.max(max, value), 0);
  return `- ${model.name} in fp16: at most ${largest}, on average ${mean.toFixed(4)} grey levels from the CPU in fp32`;
}

async function printMachine({ isCuda }: Setting): Promise<readonly string[]> {
  const runtime = await installedRuntime();
  const driver = await readDriver();
  const memory = Math.round(totalmem() / 2 ** 30);
  const cards = isCuda
    ? `${driver.cards.join(', ') || 'card unknown'}, driver ${driver.version}`
    : 'no GPU used';
  console.log(
    `Machine: ${cards}; ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, ${memory} GiB; ` +
      `Node ${process.version}, ONNX Runtime ${runtime.version}; ${new Date().toISOString().slice(0, 10)}`,
  );
  return isCuda ? driver.cards : [];
}

/** The product's own proof, which fails if the network does not run on CUDA. @throws DEVICE_UNAVAILABLE */
async function prove(model: LoadedModel, { device, threads }: Setting): Promise<string> {
  const network = await openNetwork({ model, device, threads });
  await network.close();
  const proof = network.deviceProof;
  return `- ${model.name}: ${proof ? describeProof(proof) : `${network.executionProvider}, nothing to prove`}`;
}

function printTable(
  measurements: readonly Measurement[],
  pytorch: PyTorchSpeed | undefined,
  cards: readonly string[],
): void {
  const isH100 = cards.length > 0 && cards.every((card) => card.includes('H100'));
  const format = (value: number | undefined): string => (value === undefined ? '-' : value.toPrecision(3));
  const share = (part: number | undefined, whole: number | undefined): string =>
    part === undefined || whole === undefined ? '-' : (part / whole).toFixed(2);
  console.log('\n### Mpx/s, pixels in to pixels out\n');
  console.log(
    '| model | graph | precision | tile | batch | one session | two sessions | PyTorch | best / PyTorch | PyTorch, network only | best / roofline |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|---|---|');
  for (const { model, kind, precision, size, batch, one, two } of measurements) {
    const peer = (graph: string): number | undefined =>
      pytorch?.rows.find(
        (row) =>
          row.model === model &&
          row.graph === graph &&
          row.precision === precision &&
          row.size === size &&
          row.batch === batch,
      )?.megapixelsPerSecond;
    const best = one === undefined || two === undefined ? one : Math.max(one, two);
    const roofline = isH100 && model === 'reference' ? ROOFLINE_H100[precision] : undefined;
    const cells = [model, kind, precision, size, batch, format(one), format(two), format(peer(kind))];
    cells.push(share(best, peer(kind)), format(peer('network')), share(best, roofline));
    console.log(`| ${cells.join(' | ')} |`);
  }
  const { fp32, fp16 } = ROOFLINE_H100;
  console.log(
    `\nRoofline: of the reference network on one H100, computed and not measured: ${fp32} Mpx/s with TF32, ${fp16} in fp16; none is stated for other cards and for \`fast\`. ` +
      'fp32 is what ONNX Runtime and PyTorch make of it on the card, convolutions in TF32.',
  );
}

async function main(): Promise<void> {
  const { values } = readArguments({
    usage: 'npm run bench:gpu --',
    about: `Measures the graphs on a GPU against the same networks in PyTorch on the same card. Prints Markdown
  tables. Exits with 1 if there is no GPU. STAIN_PYTHON names a Python with scripts/requirements.txt and a torch for the card.`,
    options: {
      device: {
        type: 'string',
        default: 'cuda',
        value: 'DEVICE',
        help: 'cuda, cuda:N, or cpu to try the script',
      },
      seconds: { type: 'string', default: '1.5', value: 'N', help: 'seconds to measure each figure for' },
      quick: { type: 'boolean', default: false, help: 'few shapes, half a second each' },
    },
  });
  if (!/^(cpu|cuda(:\d+)?)$/.test(values.device)) throw new Error('--device must be cpu, cuda or cuda:N');
  const device = values.device as Device;
  const isCuda = device !== 'cpu';
  const setting: Setting = {
    device,
    isCuda,
    providers: isCuda
      ? [{ name: 'cuda', deviceId: Number(device.split(':')[1] ?? 0) }, { name: 'cpu' }]
      : [{ name: 'cpu' }],
    shapes: values.quick ? QUICK_SHAPES : SHAPES,
    seconds: values.quick ? 0.5 : Number(values.seconds),
    threads: availableParallelism(),
  };
  const models = await Promise.all(NAMES.map((name) => loadModel(MODELS, name)));
  const notes: string[] = [];
  const note = (what: string) => (error: Error) => void notes.push(`- ${what}: ${error.message}`);

  // First, so that without a GPU nothing is printed that looks like a result.
  const proofs: string[] = [];
  for (const model of models) proofs.push(await prove(model, setting));
  const cards = await printMachine(setting);
  if (!isCuda) console.log('This is a CPU: it shows that the benchmark runs, and nothing about a GPU.');
  console.log(`\n### Proof\n\n${proofs.join('\n')}`);

  const folder = await mkdtemp(join(tmpdir(), 'stain-bench-gpu-'));
  try {
    const half = await writeHalfGraphs(folder).then(() => true, note('not measured in fp16'));
    const measurements: Measurement[] = [];
    for (const model of models) {
      measurements.push(...(await measure(model, 'fp32', MODELS, setting)));
      if (!half) continue;
      console.log(await differenceOfHalf(model, folder, setting));
      // A CPU has no 16-bit arithmetic: a figure would mean nothing.
      if (isCuda) measurements.push(...(await measure(model, 'fp16', folder, setting)));
    }
    const pytorch = await measurePyTorch(device, setting.shapes, setting.seconds).catch(
      note('not compared with PyTorch'),
    );
    printTable(measurements, pytorch ?? undefined, cards);
    if (pytorch) console.log(`\nCompared with ${pytorch.version}.`);
    if (notes.length > 0) console.log(`\n${notes.join('\n')}`);
  } finally {
    await rm(folder, { recursive: true });
  }
}

await main().catch((thrown) => {
  const error = toStainError(thrown);
  process.stderr.write(`Nothing was measured. ${error.message}\n${error.remedy}\n`);
  process.exitCode = 1;
});
