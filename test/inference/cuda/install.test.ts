import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { installCuda } from '../../../server/src/inference/cuda/install.ts';
import { PROVIDER, PROVIDER_FILES, type Runtime } from '../../../server/src/inference/cuda/runtime.ts';
import { nuGetPackage, sharedLibrary, wheel } from '../../support/provider.ts';

const VERSION = '7.8.9';
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-cuda-install-'));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());

async function emptyRuntime(): Promise<Runtime> {
  return { version: VERSION, folder: await mkdtemp(join(folder, 'runtime-')) };
}

/** Changes one byte in the compressed data of the first library. */
function damaged(zip: Buffer): Buffer {
  const at = zip.indexOf(`onnxruntime/capi/${PROVIDER}`) + `onnxruntime/capi/${PROVIDER}`.length + 20;
  zip[at] = zip[at]! ^ 0xff;
  return zip;
}

async function file(name: string, content: Buffer): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

describe.runIf(process.platform === 'linux' && process.arch === 'x64')('install-cuda', () => {
  it.each([
    ['the Python wheel', wheel({ version: VERSION })],
    ['the NuGet package', nuGetPackage({ version: VERSION })],
  ])('extracts the libraries from %s', async (name, content) => {
    const runtime = await emptyRuntime();
    const { changed, check } = await installCuda({ from: await file(`${name}.zip`, content), runtime });
    expect(changed).toBe(true);
    expect(check.provider).toBe('matching');
    expect((await readdir(runtime.folder)).sort()).toEqual([...PROVIDER_FILES].sort());
    expect(await readFile(join(runtime.folder, PROVIDER))).toEqual(
      sharedLibrary(['libcudart.so.13'], VERSION),
    );
  });

  it('changes nothing the second time, and replaces a provider of another version', async () => {
    vi.stubEnv('STAIN_PYTHON', '/nowhere/python3');
    const runtime = await emptyRuntime();
    const from = await file('again.whl', wheel({ version: VERSION }));
    await installCuda({ from, runtime });
    expect(await installCuda({ runtime })).toMatchObject({ changed: false });
    await writeFile(join(runtime.folder, PROVIDER), sharedLibrary([], '7.8.8'));
    expect(await installCuda({ from, runtime })).toMatchObject({
      changed: true,
      check: { provider: 'matching' },
    });
  });

  it.each([
    ['of another version', wheel({ version: '7.8.8' }), /has version 7\.8\.8; .*7\.8\.9.* is required/],
    ['whose library is of another version', wheel({ version: VERSION, built: '7.8.8' }), /not of version/],
    ['with another name', wheel({ version: VERSION, name: 'onnxruntime-qnn' }), /neither/],
    [
      'without the provider',
      wheel({ version: VERSION, files: ['libother.so'] }),
      /does not contain libonnxruntime_providers_cuda/,
    ],
    ['with a damaged library', damaged(wheel({ version: VERSION })), /cannot be read/],
    ['that is not a package', Buffer.from('not a zip file'), /cannot be read/],
  ])('refuses a package %s, and leaves the runtime unchanged', async (name, content, message) => {
    const runtime = await emptyRuntime();
    await expect(installCuda({ from: await file(`${name}.whl`, content), runtime })).rejects.toMatchObject({
      code: 'CUDA_PACKAGE_INVALID',
      message: expect.stringMatching(message),
    });
    expect(await readdir(runtime.folder)).toEqual([]);
  });

  it('fetches exactly the version of the runtime with pip', async () => {
    const runtime = await emptyRuntime();
    const from = await file('fetched.whl', wheel({ version: VERSION }));
    const python = await file(
      'python3',
      Buffer.from(
        `#!/bin/sh\necho "$@" > "${folder}/asked"\nwhile [ "$1" != --dest ]; do shift; done\ncp "${from}" "$2"\n`,
      ),
    );
    await chmod(python, 0o755);
    vi.stubEnv('STAIN_PYTHON', python);
    expect(await installCuda({ runtime })).toMatchObject({
      changed: true,
      check: { provider: 'matching' },
    });
    const asked = await readFile(join(folder, 'asked'), 'utf8');
    expect(asked).toMatch(/^-m pip download --no-deps .* onnxruntime-gpu==7\.8\.9\n$/);
  });

  it('explains what to do without a package index', async () => {
    vi.stubEnv('STAIN_PYTHON', '/nowhere/python3');
    await expect(installCuda({ runtime: await emptyRuntime() })).rejects.toMatchObject({
      code: 'DEVICE_UNAVAILABLE',
      message: expect.stringMatching(/onnxruntime-gpu 7\.8\.9.*--from FILE/),
    });
  });
});
