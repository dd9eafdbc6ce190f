/** What CUDA needs, looked for by name: on a machine without it each thing must be named. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkCuda } from '../../../server/src/inference/cuda/check.ts';
import { describeCheck, describeMissing } from '../../../server/src/inference/cuda/describe.ts';
import { readDriver } from '../../../server/src/inference/cuda/driver.ts';
import { neededLibraries } from '../../../server/src/inference/cuda/elf.ts';
import { loaderSearch } from '../../../server/src/inference/cuda/library-search.ts';
import {
  installedRuntime,
  isOfVersion,
  PROVIDER,
  PROVIDER_FILES,
} from '../../../server/src/inference/cuda/runtime.ts';
import { sharedLibrary } from '../../support/provider.ts';

const VERSION = '7.8.9';
const platform = 'linux/x64';
const driver = { version: '580.82.07', cards: ['NVIDIA H100 80GB HBM3'] };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-cuda-check-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function runtimeWith(
  needed: readonly string[],
  built: string,
): Promise<{ version: string; folder: string }> {
  const place = await mkdtemp(join(folder, 'runtime-'));
  for (const file of PROVIDER_FILES) await writeFile(join(place, file), sharedLibrary(needed, built));
  return { version: VERSION, folder: place };
}

const findAll = async (name: string): Promise<string> => `/somewhere/${name}`;

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('a real library', () => {
  it('tells what it needs, and the loader finds all of it', async () => {
    const runtime = await installedRuntime();
    const path = join(runtime.folder, 'libonnxruntime.so.1');
    const needed = await neededLibraries(path);
    expect(needed).toEqual(expect.arrayContaining(['libstdc++.so.6', 'libm.so.6', 'libc.so.6']));
    const find = await loaderSearch({});
    for (const name of needed) expect(await find(name), name).toMatch(/^\//);
    expect(await isOfVersion(path, runtime.version)).toBe(true);
    expect(await isOfVersion(path, '1.29.7')).toBe(false);
  });

  it('is told from a file that is none', async () => {
    await expect(neededLibraries(import.meta.filename)).rejects.toThrow(/ELF/);
  });
});

describe('the search', () => {
  it('takes the folders of LD_LIBRARY_PATH first, in their order, and finds nothing that is not there', async () => {
    for (const name of ['a', 'b']) {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'libc.so.6'), '');
    }
    const find = await loaderSearch({
      LD_LIBRARY_PATH: `/nowhere:${join(folder, 'b')}:${join(folder, 'a')}`,
    });
    expect(await find('libc.so.6')).toBe(join(folder, 'b', 'libc.so.6'));
    expect(await find('libcublas.so.99')).toBeUndefined();
  });
});

describe('the check', () => {
  it('names each library that is missing with what brings it, without a provider', async () => {
    const runtime = { version: VERSION, folder: join(folder, 'empty') };
    const none = { version: undefined, cards: [] };
    const check = await checkCuda({ runtime, find: async () => undefined, driver: none, platform });
    expect(check.provider).toBe('absent');
    expect(Object.fromEntries(check.missing.map(({ name, remedy }) => [name, remedy]))).toMatchObject({
      [`${PROVIDER} ${VERSION}`]: expect.stringContaining('npm run install-cuda'),
      'libcublas.so.13': expect.stringContaining('nvidia-cublas'),
      'libcublasLt.so.13': expect.stringContaining('nvidia-cublas'),
      'libcudart.so.13': expect.stringContaining('nvidia-cuda-runtime'),
      'libcurand.so.10': expect.stringContaining('nvidia-curand'),
      'libcudnn.so.9': expect.stringContaining('nvidia-cudnn-cu13'),
      'libcuda.so.1': expect.stringContaining('driver'),
    });
    const text = describeCheck(check);
    for (const { name } of check.missing) expect(text).toContain(name);
    expect(text).toMatch(/pip install .*'nvidia-cublas~=13\.0'/);
  });

  it('asks for what the provider itself needs', async () => {
    const runtime = await runtimeWith(['libcublas.so.14', 'libunheard.so.1', 'libc.so.6'], VERSION);
    const find = async (name: string) => (name === 'libc.so.6' ? '/lib/libc.so.6' : undefined);
    const { provider, missing, libraries } = await checkCuda({ runtime, find, driver, platform });
    expect(provider).toBe('matching');
    expect(missing.map(({ name }) => name)).toEqual(['libcublas.so.14', 'libunheard.so.1', 'libcudnn.so.9']);
    // cuFFT is not for our operators; what the system has is of no interest.
    expect(libraries.find(({ name }) => name === 'libcufft.so.12')).toMatchObject({ isRequired: false });
    expect(libraries.map(({ name }) => name)).not.toContain('libc.so.6');
  });

  it('finds nothing missing where all is there', async () => {
    const runtime = await runtimeWith(['libcudart.so.13', 'libcuda.so.1'], VERSION);
    const check = await checkCuda({ runtime, find: findAll, driver, platform });
    expect(check.missing).toEqual([]);
    expect(describeCheck(check)).toMatch(/\/somewhere\/libcudart\.so\.13.*NVIDIA H100.*Nothing is missing/s);
  });

  it('takes neither a provider of another version nor a driver that is too old', async () => {
    const runtime = await runtimeWith(['libcudart.so.13'], '7.8.8');
    const old = { ...driver, version: '570.124.06' };
    const { provider, missing } = await checkCuda({ runtime, find: findAll, driver: old, platform });
    expect(provider).toBe('other version');
    expect(missing.map(({ name }) => name)).toEqual([
      expect.stringContaining(`${PROVIDER} ${VERSION}`),
      expect.stringContaining('570.124.06'),
    ]);
  });

  it('says that other systems have no CUDA, instead of naming libraries that they could not use', async () => {
    const runtime = { version: VERSION, folder: join(folder, 'empty') };
    const { missing } = await checkCuda({ runtime, find: findAll, driver, platform: 'darwin/arm64' });
    expect(missing.map(({ name }) => name)).toEqual(['linux/x64']);
  });

  it('tells a damaged provider from none', async () => {
    const runtime = await runtimeWith(['libcudart.so.13'], VERSION);
    const path = join(runtime.folder, PROVIDER);
    await writeFile(path, (await readFile(path)).subarray(0, 180));
    const { provider, missing } = await checkCuda({ runtime, find: findAll, driver, platform });
    expect(provider).toBe('damaged');
    expect(describeMissing(missing)).toMatch(/damaged.*npm run install-cuda/);
  });

  it('reads version and cards of the driver', async () => {
    const place = join(folder, 'driver');
    await mkdir(join(place, 'gpus/0000:01:00.0'), { recursive: true });
    await writeFile(
      join(place, 'version'),
      'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build\nGCC version: gcc 12.2.0\n',
    );
    await writeFile(
      join(place, 'gpus/0000:01:00.0/information'),
      'Model: \t\t NVIDIA H100 80GB HBM3\nIRQ: 1\n',
    );
    expect(await readDriver(place)).toEqual({ version: '580.82.07', cards: ['NVIDIA H100 80GB HBM3'] });
    expect(await readDriver(join(folder, 'none'))).toEqual({ version: undefined, cards: [] });
  });
});
