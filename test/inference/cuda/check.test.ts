/** What CUDA needs, looked up by name: on a machine without it each missing thing must be named. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkCuda } from '../../../server/src/inference/cuda/check.ts';
import { describeCheck, describeMissing } from '../../../server/src/inference/cuda/describe.ts';
import { readDriver } from '../../../server/src/inference/cuda/driver.ts';
import { askLoader } from '../../../server/src/inference/cuda/loader.ts';
import { NEEDED_LATER, USUALLY_NEEDED } from '../../../server/src/inference/cuda/requirements.ts';
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

/** An environment in which the loader finds these libraries. @returns it, and their folder */
async function withLibraries(
  names: readonly string[],
): Promise<{ environment: NodeJS.ProcessEnv; libraries: string }> {
  const libraries = await mkdtemp(join(folder, 'libraries-'));
  for (const name of names) await writeFile(join(libraries, name), sharedLibrary([], VERSION));
  return { environment: { LD_LIBRARY_PATH: libraries }, libraries };
}

const isLinux = process.platform === 'linux' && process.arch === 'x64';

describe.runIf(isLinux)('the loader', () => {
  it('lists the dependencies of a library, with their paths', async () => {
    const runtime = await installedRuntime();
    const path = join(runtime.folder, 'libonnxruntime.so.1');
    const found = await askLoader(path, [], {});
    for (const name of ['libstdc++.so.6', 'libm.so.6', 'libc.so.6'])
      expect(found.get(name), name).toMatch(/^\//);
    expect(await isOfVersion(path, runtime.version)).toBe(true);
    expect(await isOfVersion(path, '1.29.7')).toBe(false);
  });

  it('searches the folders of LD_LIBRARY_PATH in order, for dependencies of dependencies too', async () => {
    const first = await withLibraries(['libone.so.1']);
    const second = await withLibraries(['libone.so.1', 'libtwo.so.1']);
    await writeFile(join(second.libraries, 'libtwo.so.1'), sharedLibrary(['libone.so.1', 'libno.so.1'], '1'));
    const found = await askLoader(process.execPath, ['libtwo.so.1', 'libnever.so.1'], {
      LD_LIBRARY_PATH: `/nowhere:${first.libraries}:${second.libraries}`,
    });
    expect(found.get('libtwo.so.1')).toBe(join(second.libraries, 'libtwo.so.1'));
    expect(found.get('libone.so.1')).toBe(join(first.libraries, 'libone.so.1'));
    expect([...found].filter(([, path]) => path === undefined).map(([name]) => name)).toEqual([
      'libnever.so.1',
      'libno.so.1',
    ]);
  });

  it('refuses a file that is not a library', async () => {
    await expect(askLoader(import.meta.filename, [], {})).rejects.toThrow(/invalid ELF header/);
  });
});

describe.runIf(isLinux)('the check', () => {
  it('names each missing library with its package, without a provider', async () => {
    const runtime = { version: VERSION, folder: join(folder, 'empty') };
    const none = { version: undefined, cards: [] };
    const check = await checkCuda({ runtime, environment: {}, driver: none, platform });
    expect(check.provider).toBe('absent');
    expect(Object.fromEntries(check.missing.map(({ name, remedy }) => [name, remedy]))).toMatchObject({
      [`${PROVIDER} ${VERSION}`]: expect.stringContaining('stain-normalization install-cuda'),
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

  it('checks the dependencies of the provider itself', async () => {
    const runtime = await runtimeWith(['libcublas.so.14', 'libunheard.so.1', 'libc.so.6'], VERSION);
    const { provider, missing, libraries } = await checkCuda({ runtime, environment: {}, driver, platform });
    expect(provider).toBe('matching');
    expect(missing.map(({ name }) => name)).toEqual(['libcudnn.so.9', 'libcublas.so.14', 'libunheard.so.1']);
    // Our operators do not use cuFFT; it does not matter what the system has.
    expect(libraries.find(({ name }) => name === 'libcufft.so.12')).toMatchObject({ isRequired: false });
    expect(libraries.map(({ name }) => name)).not.toContain('libc.so.6');
  });

  it('finds nothing missing if everything is there', async () => {
    const runtime = await runtimeWith(['libcudart.so.13', 'libcuda.so.1'], VERSION);
    const { environment, libraries } = await withLibraries([
      'libcudart.so.13',
      'libcuda.so.1',
      'libcudnn.so.9',
    ]);
    const check = await checkCuda({ runtime, environment, driver, platform });
    expect(check.missing).toEqual([]);
    const text = describeCheck(check);
    expect(text).toContain(join(libraries, 'libcudart.so.13'));
    expect(text).toMatch(/NVIDIA H100.*No file is missing/s);
  });

  it('accepts neither a provider of another version nor a driver that is too old', async () => {
    const runtime = await runtimeWith(['libcudart.so.13'], '7.8.8');
    const old = { ...driver, version: '570.124.06' };
    const { environment } = await withLibraries([...USUALLY_NEEDED, ...NEEDED_LATER]);
    const { provider, missing } = await checkCuda({ runtime, environment, driver: old, platform });
    expect(provider).toBe('other version');
    expect(missing.map(({ name }) => name)).toEqual([
      expect.stringContaining(`${PROVIDER} ${VERSION}`),
      expect.stringContaining('570.124.06'),
    ]);
  });

  it('says that other systems have no CUDA, instead of naming libraries that they could not use', async () => {
    const runtime = { version: VERSION, folder: join(folder, 'empty') };
    const { missing } = await checkCuda({ runtime, driver, platform: 'darwin/arm64' });
    expect(missing.map(({ name }) => name)).toEqual(['linux/x64']);
  });

  it('distinguishes a damaged provider from a missing one', async () => {
    const runtime = await runtimeWith(['libcudart.so.13'], VERSION);
    const path = join(runtime.folder, PROVIDER);
    await writeFile(path, (await readFile(path)).subarray(0, 180));
    const { provider, missing } = await checkCuda({ runtime, driver, platform });
    expect(provider).toBe('damaged');
    expect(describeMissing(missing)).toMatch(/damaged.*stain-normalization install-cuda/);
  });

  it('reads the versions of driver and cards', async () => {
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
