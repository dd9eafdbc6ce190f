/**
 * Measures this product against other ways to normalise the same slide on the same machine, and prints a table as
 * Markdown: DICOM files in, a derived DICOM pyramid out, each in a process of its own, its start included.
 *
 *   npm run bench:peers [-- --megapixels 50] [--tissue 0.5] [--threads 2] [--runs 1]
 *                       [--template PICTURE] [--out FILE] [--pictures FOLDER] [--profile] [--pipelines REGEX]
 *
 * Needs Python with scripts/requirements-peers.txt; STAIN_PYTHON names it. `--template` is the picture whose stain all
 * methods move to (default: the sample slide's own tissue). With several runs the fastest of each counts.
 * `--profile` gives the slide a scanner's ICC profile, which this product applies and the others do not. `--pipelines` runs those whose
 * name the regular expression finds: the networks in Python take minutes where tables take seconds.
 * `--pictures` writes the same part of every result as PNG, to look at.
 */
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NormalizationResult } from '../core/src/contract/index.ts';
import { WHITE } from '../core/src/image/raster.ts';
import type { TransferName } from '../core/src/stain/transfer-name.ts';
import serverPackage from '../server/package.json' with { type: 'json' };
import { writeImage } from '../server/src/codec/image-file.ts';
import { loadConfig } from '../server/src/config.ts';
import { openArchiveLocation } from '../server/src/wiring/archive-location.ts';
import { type Composition, compose, VERSION } from '../server/src/wiring/composition.ts';
import { readArguments } from './arguments.ts';
import { makeBenchSlideOfSample, openOnly, scannerProfile, withSample } from './bench-slide.ts';
import { type MeasuredProcess, measureProcess } from './measure-process.ts';
import { START } from './start-product.ts';

const SCRIPTS = fileURLToPath(new URL('.', import.meta.url));
const { STAIN_PYTHON = 'python3' } = process.env;
/** Python runs in the scripts folder, where a relative path would name another file. */
const PYTHON = STAIN_PYTHON.includes('/') ? resolve(STAIN_PYTHON) : STAIN_PYTHON;
/**
 * By default glibc returns the memory of each large tensor to the system and allocates it again, which takes a fifth of
 * the processor time of (a): 69 s instead of 54 s for the sample slide. ONNX Runtime keeps its memory too. The price is
 * a higher peak.
 */
const KEEP_MEMORY = {
  MALLOC_MMAP_MAX_: '0',
  MALLOC_TRIM_THRESHOLD_: String(16 * 2 ** 30),
  MALLOC_TOP_PAD_: String(256 * 2 ** 20),
};
const TEMPLATE = 'bench-peers';
/** Side of the part that is written as a picture, in pixels. */
const PICTURE = 1024;
/** The goals: how many times as fast as the peer; start-up time in seconds. */
const GOALS: readonly {
  readonly ours: keyof typeof NAMES;
  readonly peer: keyof typeof NAMES;
  readonly times: number;
}[] = [
  { ours: 'reference', peer: 'network', times: 2.2 },
  { ours: 'paper', peer: 'macenko', times: 1 },
  { ours: 'linear', peer: 'macenko', times: 4 },
];
const GOAL_START = 2;
const NAMES = {
  reference: 'this product, `reference`, `paper`',
  paper: 'this product, `fast`, `paper`',
  linear: 'this product, `fast`, `linear`',
  network: '(a) the reference network in PyTorch, wsidicom',
  macenko: '(b) torchstain Macenko by tile, wsidicom',
  published: "(c) the authors' way in PyTorch, pictures to PNG: network and transfer only, no DICOM",
};

const { values } = readArguments({
  usage: 'npm run bench:peers --',
  about: `Measures this product against other ways to normalise the same slide on this machine. Prints a
Markdown table. Needs Python with scripts/requirements-peers.txt; STAIN_PYTHON names it.`,
  options: {
    megapixels: { type: 'string', default: '50', value: 'N', help: 'size of the slide' },
    tissue: { type: 'string', default: '0.5', value: 'N', help: 'fraction of it that is tissue, 0 to 1' },
    threads: { type: 'string', default: '2', value: 'N', help: 'threads of every method' },
    runs: { type: 'string', default: '1', value: 'N', help: 'runs of each method; the fastest counts' },
    template: {
      type: 'string',
      value: 'PICTURE',
      help: "picture with the target stain of all methods; default: the sample slide's own tissue",
    },
    out: { type: 'string', value: 'FILE', help: 'file for the table' },
    pictures: { type: 'string', value: 'FOLDER', help: 'folder for the same part of every result as PNG' },
    profile: { type: 'boolean', default: false, help: "give the slide a scanner's ICC profile" },
    pipelines: {
      type: 'string',
      default: '',
      value: 'REGEX',
      help: 'only methods whose name matches, such as macenko; the networks in Python take minutes',
    },
  },
});
const { threads } = values;
const signal = new AbortController().signal;

interface Pipeline {
  readonly name: string;
  readonly run: (destination: string) => Promise<MeasuredProcess>;
  /** The result is a folder of pictures, and its report says which time counts; otherwise it is a slide. */
  readonly pictures?: string;
}

interface Row {
  readonly name: string;
  readonly seconds: number;
  readonly measured: MeasuredProcess;
}

function environment(folder: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    STAIN_DEVICE: 'cpu',
    STAIN_THREADS: threads,
    STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
    STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    OMP_NUM_THREADS: threads,
    CUDA_VISIBLE_DEVICES: '',
  };
}

function pipelines(source: string, pictures: string, template: string, env: NodeJS.ProcessEnv): Pipeline[] {
  const ours = (name: string, model: string, transfer: TransferName): Pipeline => ({
    name,
    run: (destination) => {
      const options = [
        '--template',
        TEMPLATE,
        '--model',
        model,
        '--transfer',
        transfer,
        '--encoding',
        'jpeg',
        '--quality',
        '90',
      ];
      return cli(env, 'normalize', source, destination, ...options);
    },
  });
  const peer = (module: string, from: string) => (destination: string) =>
    python(env, module, from, destination, '--template', template, '--threads', threads);
  const all: Pipeline[] = [
    ours(NAMES.reference, 'reference', 'paper'),
    ours(NAMES.paper, 'fast', 'paper'),
    ours(NAMES.linear, 'fast', 'linear'),
    { name: NAMES.network, run: peer('reference', source) },
    { name: NAMES.macenko, run: peer('macenko', source) },
    { name: NAMES.published, run: peer('published', pictures), pictures },
  ];
  return all.filter(({ name }) => new RegExp(values.pipelines).test(name));
}

function cli(env: NodeJS.ProcessEnv, ...args: string[]): Promise<MeasuredProcess> {
  return measureProcess(process.execPath, [...START, '--json', ...args], { env, progress: /^Opening/m });
}

function python(env: NodeJS.ProcessEnv, module: string, ...args: string[]): Promise<MeasuredProcess> {
  return measureProcess(PYTHON, ['-m', `peers.${module}`, ...args], {
    env: { ...env, ...KEEP_MEMORY },
    cwd: SCRIPTS,
  });
}

/** The picture with the target stain of all methods. */
async function templatePicture(folder: string, composition: Composition): Promise<string> {
  if (values.template) return resolve(values.template);
  const file = join(folder, 'template.png');
  await withSample(composition, async (sample) => {
    const window = { x: 512, y: 512, width: PICTURE, height: PICTURE };
    await writeImage(file, await sample.base(WHITE).read(window, signal));
  });
  return file;
}

/** Opens a slide, writes part of its tissue as a picture if requested, and returns the sizes of its levels. */
async function look(folder: string, composition: Composition, picture: string | undefined): Promise<string> {
  await using archive = await openArchiveLocation(folder, composition.config, { create: false });
  await using open = await openOnly(composition, archive);
  const base = open.base(WHITE);
  const [width, height] = [Math.min(PICTURE, base.width), Math.min(PICTURE, base.height)];
  const part = await base.read({ x: Math.floor((base.width - width) / 2), y: 0, width, height }, signal);
  if (picture) await writeImage(picture, part);
  return open.slide.levels.map((level) => `${level.totalColumns} x ${level.totalRows}`).join(', ');
}

async function runPipelines(
  folder: string,
  source: string,
  all: readonly Pipeline[],
  composition: Composition,
): Promise<Row[]> {
  const picture = (i: number): string | undefined => values.pictures && join(values.pictures, `${i}.png`);
  if (values.pictures) await mkdir(values.pictures, { recursive: true });
  const levels = await look(source, composition, picture(0));
  const best = new Map<Pipeline, Row>();
  for (let run = 0; run < Number(values.runs); run++) {
    for (const [i, pipeline] of all.entries()) {
      const destination = join(folder, `result ${i}`);
      await rm(destination, { recursive: true, force: true });
      const measured = await pipeline.run(destination);
      if (pipeline.pictures) await checkPictures(pipeline.pictures, destination, picture(i + 1));
      else {
        const found = await look(destination, composition, picture(i + 1));
        if (found !== levels) throw new Error(`${pipeline.name}: levels ${found} instead of ${levels}`);
      }
      const seconds = pipeline.pictures ? Number(reportOf(measured).seconds) : measured.seconds;
      console.error(`${pipeline.name}: ${seconds.toFixed(1)} s`);
      if (seconds < (best.get(pipeline)?.seconds ?? Number.POSITIVE_INFINITY))
        best.set(pipeline, { name: pipeline.name, seconds, measured });
    }
  }
  return [...best.values()];
}

async function checkPictures(source: string, result: string, picture: string | undefined): Promise<void> {
  const [wanted, found] = [await readdir(source), await readdir(result)];
  if (wanted.length === 0 || wanted.length !== found.length)
    throw new Error(`${found.length} pictures instead of ${wanted.length}`);
  if (picture) await copyFile(join(result, found.sort()[0]!), picture);
}

/** The last line that a process printed. */
function reportOf({ stdout }: MeasuredProcess): Record<string, unknown> {
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

function table(rows: readonly Row[], megapixels: number): string {
  const lines = rows.map(({ name, seconds, measured }) =>
    [
      name,
      seconds.toFixed(1),
      (megapixels / seconds).toFixed(2),
      measured.peakMegabytes?.toFixed(0) ?? '-',
    ].join(' | '),
  );
  return [
    '| pipeline | seconds | Mpx/s | peak MB |',
    '|---|---|---|---|',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n');
}

function goals(rows: readonly Row[]): string {
  const verdict = (met: boolean): string => (met ? 'met' : 'not met');
  const of = (name: string): Row | undefined => rows.find((row) => row.name === name);
  const lines = GOALS.flatMap(({ ours, peer, times }) => {
    const [own, other] = [of(NAMES[ours]), of(NAMES[peer])];
    if (!own || !other) return [];
    const faster = other.seconds / own.seconds;
    return [
      `- ${own.name} at least ${times} times as fast as ${other.name}: ${faster.toFixed(2)} times, ${verdict(faster >= times)}.`,
    ];
  });
  const starts = rows.flatMap(({ measured }) => measured.secondsToProgress ?? []);
  if (starts.length > 0) {
    const start = Math.max(...starts);
    lines.push(
      `- First progress event in less than ${GOAL_START} s: ${start.toFixed(2)} s (the slowest), ${verdict(start < GOAL_START)}.`,
    );
  }
  return lines.join('\n');
}

function facts(rows: readonly Row[]): string {
  const memory = Math.round(totalmem() / 2 ** 30);
  const report = (name: string): Record<string, unknown> | undefined => {
    const row = rows.find((one) => one.name === name);
    return row && reportOf(row.measured);
  };
  const [network, macenko, published] = [
    report(NAMES.network),
    report(NAMES.macenko),
    report(NAMES.published),
  ];
  const packages = Object.assign(
    {},
    ...[network, macenko, published].map((peer) => peer?.versions),
  ) as Record<string, string>;
  const { dependencies } = serverPackage;
  const ours = report(NAMES.linear) ?? report(NAMES.paper) ?? report(NAMES.reference);
  const { fit } = (ours ?? {}) as Partial<NormalizationResult>;
  return [
    `Machine: ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, ${memory} GiB; ${threads} threads for each pipeline; ${new Date().toISOString().slice(0, 10)}.`,
    `Versions: stain-normalization ${VERSION} (onnxruntime-node ${dependencies['onnxruntime-node']}, jpeg-turbo ${dependencies['@julusian/jpeg-turbo']}), Node ${process.version}; ${Object.entries(
      packages,
    )
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    `Runs: ${values.runs}${values.runs === '1' ? '' : ', the fastest of each'}. Template: ${values.template ? 'a picture named by --template' : "the sample slide's own tissue"}, the same for all.`,
    '',
    [
      fit && `This product: statistics of ${fit.sampledTiles} samples.`,
      network &&
        `(a) Statistics of ${network.samples} windows, one transfer for the slide, ${network.skipped} windows of glass not computed.`,
      macenko &&
        `(b) ${macenko.normalised} tiles normalised, each by its own fit; ${macenko.glass} left as they are because they show too little tissue for a fit, ${macenko.failed} because it failed.`,
      published &&
        `(c) ${published.pictures} pictures of tissue, each by its own statistics; reading, PNG and start-up not counted, Mpx/s of the whole slide.`,
    ]
      .filter(Boolean)
      .join(' '),
  ].join('\n');
}

const folder = await mkdtemp(join(tmpdir(), 'stain-peers-'));
try {
  const env = environment(folder);
  await using composition = compose(loadConfig({ env }));
  // Every level is then exactly half of the one above: writers round an odd size differently.
  const side = Math.max(1, Math.round(Math.sqrt(Number(values.megapixels) * 1e6) / 8)) * 8;
  const [source, pictures] = [join(folder, 'slide'), join(folder, 'pictures')];
  await makeBenchSlideOfSample(
    source,
    {
      columns: side,
      rows: side,
      tissue: Number(values.tissue),
      iccProfile: values.profile ? await scannerProfile() : undefined,
    },
    composition,
  );
  const template = await templatePicture(folder, composition);
  // The teacher's statistics, as for the peers; `fast` accepts them too.
  const about = ['--name', 'bench:peers', '--licence', 'see its source', '--model', 'reference'];
  await cli(env, 'template', 'add', TEMPLATE, template, ...about);
  if (new RegExp(values.pipelines).test(NAMES.published)) await python(env, 'export', source, pictures);
  const rows = await runPipelines(folder, source, pipelines(source, pictures, template, env), composition);
  const megapixels = side ** 2 / 1e6;
  const text = [
    `### ${megapixels.toFixed(1)} Mpx (${side} x ${side}), ${Math.round(Number(values.tissue) * 100)} % tissue, ${values.profile ? "a scanner's ICC profile" : 'sRGB'}, JPEG 90 out`,
    facts(rows),
    table(rows, megapixels),
    goals(rows),
  ].join('\n\n');
  console.log(text);
  if (values.out) await writeFile(values.out, `${text}\n`);
} finally {
  await rm(folder, { recursive: true });
}
