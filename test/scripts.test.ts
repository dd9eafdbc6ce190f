/** Every script that package.json names explains itself, and wrong usage gets the right one. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import sharp from 'sharp';
import { afterAll, describe, expect, it } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { PYTHON, python, repository } from './support/peers.ts';
import { tissue } from './support/tissue.ts';

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A cache of compiled code: the scripts have most of it in common. */
const cache = mkdtempSync(join(tmpdir(), 'scripts-test-'));
afterAll(() => rmSync(cache, { recursive: true }));

const run = (program: string, args: readonly string[], cwd: string): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(
      program,
      args,
      { cwd, env: { ...process.env, NODE_COMPILE_CACHE: cache } },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
const node = (...args: string[]) => run(process.execPath, args, repository);
const runModule = (module: string, option: string) =>
  run(PYTHON, ['-m', module, option], join(repository, 'scripts'));

const commands = Object.entries(packageJson.scripts).flatMap(([name, command]) => {
  const [, script] = /^node (?:--\S+ )*(\S+\.ts)/.exec(command) ?? [];
  return script === undefined ? [] : [{ name, script }];
});

it('finds the scripts', () => {
  expect(commands.length).toBeGreaterThan(12);
});

it.each(commands)('npm run $name -- --help', async ({ script }) => {
  const { code, stdout, stderr } = await node(script, '--help');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^Usage: /);
  expect(stdout).toContain('--help');
});

describe.skipIf(python.missing)(`Python${python.note}`, () => {
  it.each([
    'dcgmm.check',
    'dcgmm.export',
    'dcgmm.half',
    'dcgmm.reference',
    'dcgmm.vectors',
    'evaluation.ink',
    'stains.vectors',
  ])('python -m %s', async (module) => {
    const help = await runModule(module, '--help');
    expect(help).toMatchObject({ code: 0, stdout: expect.stringMatching(/^usage: /) });
    const wrong = await runModule(module, '--nonsense');
    expect(wrong).toMatchObject({ code: 2, stderr: expect.stringMatching(/^usage: /) });
  });

  it('says which pictures a training uses, and which one cannot be read', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'training-pictures-'));
    const { rgb, width, height } = tissue(32, 32);
    const png = await sharp(rgb, { raw: { width, height, channels: 3 } })
      .png()
      .toBuffer();
    const names = ['beside.png', 'one/a.png', 'one/b.PNG', 'one/._a.png', 'one/notes.txt', '.two/a.png'];
    for (const name of names) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), png);
    }
    const read = (): Promise<Outcome> =>
      run(
        PYTHON,
        ['-c', 'import sys; from dcgmm.sources import *; read_sources(Path(sys.argv[1]), 1)', folder],
        join(repository, 'scripts'),
      );
    const { code, stdout } = await read();
    expect([code, stdout]).toEqual([0, `one: 2 pictures\n1 picture directly in ${folder} not used\n`]);
    writeFileSync(join(folder, 'one/b.PNG'), 'nothing');
    const { stderr } = await read();
    expect(stderr).toMatch(/^\S+b\.PNG cannot be read as a picture: .*\n$/);
    rmSync(folder, { recursive: true });
  });
});

describe('wrong usage exits with 2 and says what is right', () => {
  const cases: [script: string, args: string[], told: string][] = [
    ['scripts/retrain.ts', [], 'Wrong number of arguments: 0.'],
    ['scripts/retrain.ts', ['slides'], '--out is missing.'],
    [
      'scripts/retrain.ts',
      ['slides', '--out', 'x', '--steps', 'many'],
      '--steps must be a number, not "many".',
    ],
    ['scripts/demo.ts', ['--nonsense'], "Unknown option '--nonsense'"],
    ['test/fuzz/run.ts', ['--target', 'nonsense'], '--target must be one of header, part10, '],
    ['server/src/main.ts', ['normalize', 'a', 'b', '--template', 'x', '--transfer', 'y'], 'linear, paper'],
    ['server/src/main.ts', ['--device', 'tpu', 'info'], 'Must be auto, cpu, cuda or cuda:N.'],
  ];
  it.each(cases)('%s %s', async (script, args, told) => {
    const { code, stderr } = await node(script, ...args);
    expect(stderr).toContain(told);
    expect(code).toBe(2);
  });
});
