/** The command line as a person uses it: a process, its output and its exit code. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { copyFile, link, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Template } from '../../core/src/stain/template-document.ts';
import type { FitResult } from '../../server/src/cli/fit-command.ts';
import { copySample } from '../support/copy-slide.ts';
import { repository } from '../support/peers.ts';
import { tissue } from '../support/tissue.ts';

let folder: string;

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const environment = () => ({
  ...process.env,
  STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
  STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
  STAIN_DEVICE: 'cpu',
});

function run(...args: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(repository, 'server/src/main.ts'), ...args],
      { env: environment(), cwd: folder, maxBuffer: 16e6 },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
    );
  });
}

async function picture(name: string, options: Parameters<typeof tissue>[2]): Promise<string> {
  const { rgb, width, height } = tissue(320, 240, options);
  await sharp(rgb, { raw: { width, height, channels: 3 } }).toFile(join(folder, name));
  return name;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('the command line', () => {
  it('describes itself', async () => {
    const { code, stdout } = await run('info');
    expect(code).toBe(0);
    expect(stdout).toMatch(/CPUExecutionProvider/);
    const json = JSON.parse((await run('--json', 'info')).stdout);
    expect(json.templates.length).toBeGreaterThan(0);
  });

  it('goes on without a word when nobody reads its output any more', async () => {
    const command = spawn(process.execPath, [join(repository, 'server/src/main.ts'), 'info', '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, STAIN_DEVICE: 'cpu' },
      cwd: folder,
    });
    command.stdout.destroy();
    let told = '';
    command.stderr.on('data', (chunk) => {
      told += chunk;
    });
    const [code] = await once(command, 'close');
    expect([code, told]).toEqual([0, '']);
  });

  it('does not replace the picture that it reads', async () => {
    const name = await picture('only.png', {});
    await symlink(name, join(folder, 'symbolic.png'));
    await link(join(folder, name), join(folder, 'hard.png'));
    for (const output of [`./${name}`, 'symbolic.png', 'hard.png']) {
      const { code, stderr } = await run('normalize-image', name, output, '--template', 'he-violet');
      expect([code, stderr]).toEqual([1, expect.stringContaining('would replace the picture')]);
    }
    const other = await picture('other.png', { seed: 5 });
    const { stderr } = await run('normalize-image', other, 'hard.png', '--template', name);
    expect(stderr).toContain('would replace the picture');
  });

  it('notices an output that cannot be written before the work', async () => {
    for (const [output, told] of [
      ['lossy.webp', 'must end in .png, .jpg or .tif'],
      ['missing/a.png', 'cannot be written (ENOENT)'],
    ]) {
      const { code, stderr } = await run('normalize-image', 'absent.png', output!, '--template', 'he-violet');
      expect([code, stderr]).toEqual([1, expect.stringContaining(`Error (REQUEST_INVALID): `)]);
      expect(stderr).toContain(told);
    }
  });

  it('normalises a picture onto another and onto a template made from it', async () => {
    const pale = await picture('pale.png', { strength: 0.6 });
    const strong = await picture('strong.tif', { seed: 5 });
    expect(await run('normalize-image', pale, 'onto-picture.png', '--template', strong)).toMatchObject({
      code: 0,
    });
    expect(
      await run('template', 'add', 'strong', strong, '--name', 'Strong', '--licence', 'CC0-1.0'),
    ).toMatchObject({ code: 0 });
    expect(await run('normalize-image', pale, 'onto-template.png', '--template', 'strong')).toMatchObject({
      code: 0,
    });
    const [first, second, original] = await Promise.all(
      ['onto-picture.png', 'onto-template.png', pale].map((name) =>
        sharp(join(folder, name)).raw().toBuffer(),
      ),
    );
    expect(Buffer.compare(first!, second!)).toBe(0);
    expect(Buffer.compare(first!, original!)).not.toBe(0);
    const again = await run('template', 'add', 'strong', strong, '--name', 'Strong', '--licence', 'CC0-1.0');
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('TEMPLATE_EXISTS') });
  });

  it('makes one template from several template files, with equal weights', async () => {
    const file = (name: string): string => join(repository, `models/onnx/templates/${name}.json`);
    const files = ['he-violet', 'he-magenta'].map(file);
    const described = ['--name', 'Two', '--licence', 'CC0-1.0'];
    const { code, stdout } = await run('--json', 'template', 'add', 'two', ...files, ...described);
    expect(code).toBe(0);
    const { template } = JSON.parse(stdout) as { template: Template };
    const [violet, magenta] = files.map((path) => JSON.parse(readFileSync(path, 'utf8')) as Template);
    const share = (one: Template): number => one.densities[0]!.share;
    expect(share(template)).toBeCloseTo((share(violet!) + share(magenta!)) / 2, 9);
    expect(template.pixels).toBe(violet!.pixels + magenta!.pixels);
    expect(template.provenance.source).toBe('2 template files');
    const long = ['--name', 'Long', '--licence', 'CC0-1.0', '--provenance', 'x'.repeat(600)];
    const refused = await run('template', 'add', 'long', ...files, ...long);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('--provenance') });
  });

  it('prints the transfer of a picture as numbers', async () => {
    const pale = await picture('pale.png', { strength: 0.6 });
    const { stdout } = await run('--json', 'fit', pale, '--template', 'he-violet');
    const found = JSON.parse(stdout) as FitResult;
    expect(found.matrix.flat().every(Number.isFinite)).toBe(true);
    expect(found.tables.level).toHaveLength(7 * 4096);
    expect(found.gain).toBeGreaterThan(1);
    expect(found.sha256.tables).toMatch(/^[0-9a-f]{64}$/);
    const told = await run('fit', pale, '--template', 'he-violet');
    expect(told).toMatchObject({ code: 0, stdout: expect.stringMatching(/Glass 0\.\d+, of which/) });
    expect((await run('fit', pale, '--template', 'none')).stderr).toContain('TEMPLATE_NOT_FOUND');
  });

  it('says by which profile a picture was converted before it was fitted', async () => {
    const { rgb, width, height } = tissue(320, 240);
    const policies = await Promise.all(
      [undefined, 'srgb', 'p3'].map(async (profile) => {
        const image = sharp(rgb, { raw: { width, height, channels: 3 } });
        const name = `${profile}-profile.png`;
        await (profile ? image.withIccProfile(profile) : image).toFile(join(folder, name));
        const { stdout } = await run('--json', 'fit', name, '--template', 'he-violet');
        return (JSON.parse(stdout) as FitResult).colourPolicy;
      }),
    );
    expect(policies).toEqual([
      expect.stringContaining('has no ICC profile and was treated as sRGB'),
      expect.stringContaining('is sRGB, according to its ICC profile'),
      expect.stringContaining('was converted to sRGB with its ICC profile'),
    ]);
  });

  it('makes a template from a slide', async () => {
    const slide = join(folder, 'one-level');
    await mkdir(slide);
    await copyFile(join(repository, 'scripts/sample/level-3.dcm'), join(slide, 'slide.dcm'));
    expect(
      await run('template', 'add', 'cmu', 'one-level', '--name', 'CMU-1', '--licence', 'CC0-1.0'),
    ).toMatchObject({ code: 0 });
    const { stdout } = await run('--json', 'info');
    expect(JSON.parse(stdout).templates).toContainEqual({ id: 'cmu', name: 'CMU-1' });
  });

  it('normalises a slide from folder to folder', async () => {
    const { code, stdout } = await run(
      '--json',
      'normalize',
      join(repository, 'scripts/sample'),
      'out',
      '--template',
      'he-pink-violet',
      '--transfer',
      'paper',
    );
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result.instances).toHaveLength(4);
    expect(result.transfer).toBe('paper');
    const stored = await readdir(join(folder, 'out', result.studyInstanceUid, result.seriesInstanceUid));
    expect(stored.filter((name) => name.endsWith('.dcm'))).toHaveLength(4);
    expect(await readdir(join(folder, 'spool'))).toEqual([]);
  }, 180_000);

  it.each(['normalize', 'normalize-all'])('an interrupted %s continues when given again', async (name) => {
    const source = join(repository, 'scripts/sample');
    const args = [name, source, `${name}-out`, '--template', 'he-pink-violet', '--transfer', 'paper'];
    const child = spawn(process.execPath, [join(repository, 'server/src/main.ts'), ...args], {
      env: environment(),
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let told = '';
    child.stderr.on('data', (text) => {
      if (!told.includes('Fitting') && String(text).includes('Fitting')) child.kill('SIGINT');
      told += text;
    });
    const [code] = await once(child, 'close');
    expect([code, told]).toEqual([130, expect.stringContaining('Give the same command again: ')]);
    expect(told).not.toContain('The job');
    expect((await run(...args)).code).toBe(0);
  });

  it('says that the finest level is resampled: the base level may still be missing', async () => {
    for (const [name, level, told] of [
      ['base', 'NONE', false],
      ['reduced', 'RESAMPLED', true],
    ] as const) {
      const imageType = ['DERIVED', 'PRIMARY', 'VOLUME', level];
      const { files } = await copySample(name, [3], () => ({ ImageType: imageType }));
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'slide.dcm'), files[0]!);
      for (const args of [
        ['fit', name],
        ['normalize', name, 'of-reduced'],
      ]) {
        const { code, stdout } = await run(...args, '--template', 'he-violet');
        expect([code, stdout.includes('The finest level of the slide is resampled')]).toEqual([0, told]);
      }
    }
  });

  it.each([
    [
      'a template that does not exist',
      ['normalize-image', 'pale.png', 'x.png', '--template', 'nowhere'],
      'TEMPLATE_NOT_FOUND',
    ],
    [
      'a picture that does not exist',
      ['normalize-image', 'absent.png', 'x.png', '--template', 'he-pink-violet'],
      'IMAGE_INVALID',
    ],
    [
      'a folder that does not exist',
      ['normalize', 'absent', 'out', '--template', 'he-pink-violet'],
      'REQUEST_INVALID',
    ],
    [
      'an archive that does not exist',
      ['normalize', 'http://127.0.0.1:9/dicom-web', 'out', '--template', 'he-pink-violet'],
      'ARCHIVE_UNREACHABLE',
    ],
    [
      'the id of a shipped template',
      ['template', 'add', 'he-violet', join(repository, 'models/onnx/templates/he-violet.json'), '--replace'],
      'TEMPLATE_SHIPPED',
    ],
    ['CUDA on a machine without it', ['--device', 'cuda', 'info'], 'DEVICE_UNAVAILABLE'],
    ['a file that is not a CUDA package', ['install-cuda', '--from', 'nothing.whl'], 'CUDA_PACKAGE_INVALID'],
  ])('says what is wrong with %s, and what to do', async (_what, args, expected) => {
    const { code, stderr } = await run(...args);
    expect(code).toBe(1);
    expect(stderr).toContain(`Error (${expected})`);
    expect(stderr.trim().split('\n').length).toBeGreaterThanOrEqual(2);
    const { error } = JSON.parse((await run('--json', ...args)).stdout);
    expect(error.code).toBe(expected);
  });

  it('checks what CUDA needs, and exits with 1 if something is missing', async () => {
    const { code, stdout } = await run('install-cuda', '--check');
    const json = JSON.parse((await run('--json', 'install-cuda', '--check')).stdout);
    expect(code).toBe(json.missing.length > 0 ? 1 : 0);
    for (const { name } of [...json.libraries, ...json.missing]) expect(stdout).toContain(name);
  });

  it('prints nothing that a terminal obeys, of whatever an error repeats', async () => {
    const args = ['normalize', 'no\u001b[2Jfolder', 'there', '--template', 'he-violet'];
    const { code, stderr } = await run(...args);
    expect([code, stderr]).toEqual([1, expect.stringContaining('"no\\u001b[2Jfolder" is neither')]);
    const json = JSON.parse((await run('--json', ...args)).stdout);
    expect(json.error.message).toContain('no\u001b[2Jfolder');
  });

  it('exits with 2 for wrong usage', async () => {
    // Text also with --json: whatever was asked for is not known.
    for (const args of [
      ['normalize'],
      ['normalize-image', 'a', 'b'],
      ['nonsense'],
      ['normalize', 'a', 'b', '--template', 't', '--quality', '101'],
    ])
      expect(await run('--json', ...args)).toMatchObject({
        code: 2,
        stdout: '',
        stderr: expect.stringMatching(/^error: /),
      });
  });

  it.each(['normalize', 'normalize-all', 'normalize-image'])(
    '%s names the valid transfers',
    async (command) => {
      const { code, stderr } = await run(command, 'a', 'b', '--template', 't', '--transfer', 'other');
      expect(code).toBe(2);
      expect(stderr).toContain('Allowed choices are linear, paper.');
    },
  );
});
