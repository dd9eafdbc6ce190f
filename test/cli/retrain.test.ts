/**
 * `npm run retrain`: what is trained on, and where a training may go on. PyTorch takes gigabytes and minutes, so a
 * program in its place notes how it is called.
 */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { writeImage } from '../../server/src/codec/image-file.ts';
import { copySample } from '../support/copy-slide.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { tissue } from '../support/tissue.ts';

/** Writes the weights that a training leaves. */
const STAND_IN = `#!/bin/sh
echo "$*" >> "$CALLS"
module=$2
while [ $# -gt 0 ]; do
  case "$1" in --out) out=$2 ;; --steps) steps=$2 ;; esac
  shift
done
[ "$module" = "$FAILING" ] && exit 3
[ -n "$steps" ] && mkdir -p "$out" && echo weights > "$out/step$(printf %05d "$steps").npz"
exit 0
`;

let place: Workplace;
let slides: string;
let folder: string;
beforeAll(async () => {
  place = await createWorkplace();
  slides = join(place.folder, 'slides');
  await mkdir(slides);
  for (const [i, bytes] of (await copySample('retrain', [1, 2])).files.entries())
    await writeFile(join(slides, `${i}.dcm`), bytes);
});
afterAll(() => place?.[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-retrain-'));
  await writeFile(join(folder, 'python'), STAND_IN);
  await chmod(join(folder, 'python'), 0o755);
  return () => rm(folder, { recursive: true });
});

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function retrain(source: string, env: Record<string, string> = {}, ...options: string[]): Promise<Outcome> {
  const args = ['scripts/retrain.ts', source, '--out', join(folder, 'out'), '--steps', '3', ...options];
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      args,
      {
        cwd: repository,
        env: {
          ...process.env,
          STAIN_PYTHON: join(folder, 'python'),
          STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
          CALLS: join(folder, 'calls'),
          ...env,
        },
      },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

/** What the modules were told, in order. */
async function calls(): Promise<{ module: string; options: Record<string, string> }[]> {
  const lines = (await readFile(join(folder, 'calls'), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => {
    const [, module, ...words] = line.split(' ');
    const options = [...words.join(' ').matchAll(/--(\S+) ([^- ]\S*)/g)].map(([, name, value]) => [
      name,
      value,
    ]);
    return { module: module!, options: Object.fromEntries(options) };
  });
}

async function pictureIn(...names: string[]): Promise<void> {
  await mkdir(join(folder, ...names.slice(0, -1)), { recursive: true });
  await writeImage(join(folder, ...names), tissue(64, 64));
}

it('trains both networks on windows of the slides, and gives the model a version of its own', async () => {
  const { code, stdout } = await retrain(slides);
  expect(stdout).toContain('Done.');
  expect(code).toBe(0);
  const [train, distil, exported] = await calls();
  expect([train!.module, distil!.module, exported!.module]).toEqual([
    'dcgmm.train',
    'dcgmm.distil',
    'dcgmm.export',
  ]);
  const pictures = join(folder, 'out/pictures');
  expect([train!.options['data'], distil!.options['data']]).toEqual([pictures, pictures]);
  expect((await readdir(join(pictures, 'slide-0001'))).length).toBeGreaterThan(0);
  expect(distil!.options['teacher']).toBe(join(folder, 'out/reference/step00003.npz'));
  expect(exported!.options['version']).toMatch(/^own-[0-9a-f]{4}$/);
  expect(stdout).toContain(exported!.options['version']);
});

it('trains on the slides of a folder that holds pictures too', async () => {
  await cp(slides, join(folder, 'mixed'), { recursive: true });
  await pictureIn('mixed', 'photos', 'macro.png');
  await retrain(join(folder, 'mixed'));
  expect((await calls())[0]!.options['data']).toBe(join(folder, 'out/pictures'));
});

it('does not train on results of this product', async () => {
  await cp(slides, join(folder, 'both'), { recursive: true });
  await using archive = await place.open(join(folder, 'both'));
  await normalizeOnlySlide(place, archive, archive, { model: 'fast' });
  const { stdout } = await retrain(join(folder, 'both'));
  expect(stdout).toMatch(/left out: ALREADY_NORMALIZED/);
  expect(await readdir(join(folder, 'out/pictures'))).toHaveLength(1);
});

it('trains on folders of pictures', async () => {
  await pictureIn('pictures', 'laboratory', 'a.png');
  const { code } = await retrain(join(folder, 'pictures'));
  expect(code).toBe(0);
  expect((await calls())[0]!.options['data']).toBe(join(folder, 'pictures'));
});

it('prints commands that a shell understands', async () => {
  await pictureIn('the pictures', 'laboratory', 'a.png');
  const { stdout } = await retrain(join(folder, 'the pictures'), {}, '--out', join(folder, 'the model'));
  expect(stdout).toContain(`: STAIN_MODELS_DIRECTORY='${folder}/the model/models'\n`);
  expect(stdout).toContain(` add mine '${folder}/the pictures'/LABORATORY/* --name`);
});

it('does not take hidden files and folders for pictures', async () => {
  await pictureIn('pictures', 'laboratory', '._a.png');
  await pictureIn('pictures', '.thumbnails', 'a.png');
  const { code, stderr } = await retrain(join(folder, 'pictures'));
  expect([code, stderr]).toEqual([1, expect.stringContaining('SERIES_NOT_FOUND')]);
});

it('says that pictures must lie in a folder for each laboratory', async () => {
  await pictureIn('pictures', 'a.png');
  const { code, stderr } = await retrain(join(folder, 'pictures'));
  expect(stderr).toMatch(/^Error \(SERIES_NOT_FOUND\): .*one for each laboratory/m);
  expect(stderr).not.toContain('    at ');
  expect(code).toBe(1);
});

it('continues the same training, with the same pictures', async () => {
  expect((await retrain(slides, { FAILING: 'dcgmm.distil' })).code).toBe(1);
  const { code, stdout } = await retrain(slides);
  expect(stdout).not.toContain('whole-slide series');
  expect(code).toBe(0);
  const lines = (await readFile(join(folder, 'calls'), 'utf8')).split('\n');
  expect(lines.filter((line) => /dcgmm\.(train|distil)/.test(line))).toHaveLength(4);
  expect(lines.filter((line) => line.includes('--resume'))).toHaveLength(4);
});

it('does not mix with another training, nor with other files', async () => {
  await pictureIn('pictures', 'laboratory', 'a.png');
  await retrain(join(folder, 'pictures'));
  const trained = await readFile(join(folder, 'calls'), 'utf8');
  for (const again of [
    () => retrain(slides),
    () => retrain(join(folder, 'pictures'), {}, '--distil-steps', '9'),
  ]) {
    const { code, stderr } = await again();
    expect(stderr).toMatch(/^Error \(REQUEST_INVALID\): ".*out" holds something other/);
    expect(code).toBe(1);
  }
  await rm(join(folder, 'out/run.json'));
  expect((await retrain(join(folder, 'pictures'))).code).toBe(1);
  expect(await readFile(join(folder, 'calls'), 'utf8')).toBe(trained);
});

it('lets a wrong source be corrected', async () => {
  await pictureIn('pictures', 'laboratory', 'a.png');
  expect((await retrain(join(folder, 'picture'))).stderr).toContain('REQUEST_INVALID');
  expect((await retrain(join(folder, 'pictures'))).code).toBe(0);
});

it('looks for Python from the folder the command runs in, and reports if it is missing', async () => {
  await pictureIn('pictures', 'laboratory', 'a.png');
  const found = await retrain(join(folder, 'pictures'), {
    STAIN_PYTHON: relative(repository, join(folder, 'python')),
  });
  expect(found.code).toBe(0);
  await rm(join(folder, 'out'), { recursive: true });
  const { code, stderr } = await retrain(join(folder, 'pictures'), { STAIN_PYTHON: 'none/python' });
  expect(stderr).toMatch(/^Error \(CONFIGURATION_INVALID\): Python cannot be started: .*STAIN_PYTHON/);
  expect(stderr).not.toContain('    at ');
  expect(code).toBe(1);
});

it('understands paths from the folder in which npm was called', async () => {
  await pictureIn('pictures', 'laboratory', 'a.png');
  const env = { npm_lifecycle_event: 'retrain', INIT_CWD: folder, STAIN_PYTHON: './python' };
  // The last option counts.
  const { code, stdout } = await retrain('pictures', env, '--out', 'elsewhere');
  expect([code, stdout]).toEqual([0, expect.stringContaining(join(folder, 'elsewhere/models'))]);
  expect((await calls())[0]!.options['data']).toBe(join(folder, 'pictures'));
});

it.each(['0', '2.5', '1e3'])('refuses %s steps', async (steps) => {
  const { code, stderr } = await retrain(slides, {}, '--distil-steps', steps);
  expect(stderr).toContain('must be a whole number');
  expect(code).toBe(1);
});
