/** Both packages as `npm pack` makes them, installed side by side in an empty folder and used as a stranger would. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repository } from '../support/peers.ts';

const execute = promisify(execFile);
const SERVER = 'stain-normalization-server';
const EXTENSION = 'ohif-extension-stain-normalization';
const MEGABYTE = 1e6;

/** This test's own Node, for every command. */
const env = {
  ...process.env,
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}`,
};

let folder: string;
let tarballs: {
  readonly name: string;
  readonly filename: string;
  readonly files: { readonly path: string }[];
}[];
const installed = (...path: string[]): string => join(folder, 'node_modules', ...path);
const run = (command: string, args: readonly string[], cwd = folder) =>
  execute(command, args, { cwd, env, maxBuffer: 2 ** 26 }).catch((error: Error & { stdout: string }) => {
    throw new Error(`${error.message}\n${error.stdout}`);
  });
const command = (...args: string[]) => run('npx', ['--no-install', 'stain-normalization', ...args]);
const tsc = join(repository, 'node_modules/.bin/tsc');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'packages-'));
  const pack = [
    'pack',
    '--silent',
    '--json',
    '--pack-destination',
    folder,
    '-w',
    'server',
    '-w',
    'extension',
  ];
  const { stdout } = await run('npm', pack, repository);
  const packed = JSON.parse(stdout.slice(stdout.search(/^[[{]/m)));
  tarballs = Object.values(packed);
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const files = tarballs.map(({ filename }) => `./${filename}`);
  await run('npm', ['install', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', ...files]);
}, 300_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

describe(SERVER, () => {
  it('answers --help', async () => {
    const { stdout } = await command('--help');
    expect(stdout).toContain('normalize-all');
  });

  it('normalises the sample with its own models', async () => {
    const sample = installed(SERVER, 'dist/scripts/sample');
    const { stdout } = await command(
      '--json',
      'normalize',
      sample,
      './normalised',
      '--template',
      'he-violet',
    );
    expect(JSON.parse(stdout).instances).toHaveLength(4);
    const written = (await readdir(join(folder, 'normalised'), { recursive: true })).filter((name) =>
      name.endsWith('.dcm'),
    );
    expect(written).toHaveLength(4);
  });

  it('finds the plugin of the other package', async () => {
    const plugin = await stat(installed(EXTENSION, 'dist/plugin/stain-normalization.mjs'));
    expect(plugin.isFile()).toBe(true);
    await expect(stat(installed(SERVER, 'node_modules', EXTENSION))).rejects.toThrow('ENOENT');
  });

  it('has README, licence and types', async () => {
    const names = await readdir(installed(SERVER));
    expect(names).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'dist', 'package.json']));
  });
});

describe(EXTENSION, () => {
  it('has types that a strict consumer can check, libraries included', async () => {
    await writeFile(
      join(folder, 'consumer.ts'),
      `import extension, { EXTENSION_ID, mode } from '${EXTENSION}';
import { job as jobSchema } from '${SERVER}/contract';
const id: 'ohif-extension-stain-normalization' = EXTENSION_ID;
export const registered: string[] = [id, extension.id, mode.id];
export const state: string = jobSchema.parse({}).state;
`,
    );
    for (const module of ['nodenext', 'preserve'])
      await run(tsc, ['--noEmit', '--strict', '--target', 'es2022', '--module', module, 'consumer.ts']);
  });

  it('bundles with a viewer, which provides the parts of OHIF, and without ONNX Runtime', async () => {
    await writeFile(
      join(folder, 'consumer.js'),
      `import { hotkeys } from '@ohif/core';\nimport extension, { mode } from '${EXTENSION}';\nconsole.log(hotkeys, extension, mode);\n`,
    );
    const { outputFiles, warnings } = await build({
      absWorkingDir: folder,
      entryPoints: ['consumer.js'],
      bundle: true,
      minify: true,
      write: false,
      format: 'esm',
      platform: 'browser',
      external: ['@ohif/core'],
    });
    expect(warnings).toEqual([]);
    expect(outputFiles[0]!.contents.byteLength).toBeLessThan(200_000);
    await expect(stat(installed('onnxruntime-web'))).rejects.toThrow('ENOENT');
  });

  it('contains nothing of the server, and is below 3 MB packed apart from WebAssembly', async () => {
    const files = tarballs.find(({ name }) => name === EXTENSION)!.files.map(({ path }) => path);
    expect(files.filter((path) => path.includes('server/'))).toEqual([]);
    const entry = await readFile(installed(EXTENSION, 'dist/index.js'), 'utf8');
    expect(entry).not.toContain('onnxruntime');
    await writeFile(
      join(folder, 'without-wasm.txt'),
      files.filter((path) => !path.endsWith('.wasm')).join('\n'),
    );
    const archive = join(folder, 'without-wasm.tar.gz');
    await run('tar', ['-czf', archive, '-C', installed(EXTENSION), '-T', join(folder, 'without-wasm.txt')]);
    expect((await stat(archive)).size).toBeLessThan(3 * MEGABYTE);
  });
});
