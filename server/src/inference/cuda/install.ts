/** Puts the CUDA provider of exactly the runtime's version beside it. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StainError } from '../../errors.ts';
import { type CudaCheck, checkCuda } from './check.ts';
import { packageNames, readProviderPackage } from './provider-package.ts';
import {
  CUDA_PLATFORM,
  installedRuntime,
  isOfVersion,
  PROVIDER,
  type Runtime,
  THIS_PLATFORM,
} from './runtime.ts';

export interface InstallOptions {
  /** Wheel or NuGet package on this machine; fetched with pip when left out. */
  readonly from?: string | undefined;
  readonly runtime?: Runtime;
}

export interface Installation {
  /** False when the provider was there already. */
  readonly changed: boolean;
  readonly check: CudaCheck;
}

/**
 * Does nothing when the provider of the right version is there and no package is given.
 * @throws DEVICE_UNAVAILABLE: CUDA does not exist for this system, or the package cannot be fetched or put in place
 * @throws CUDA_PACKAGE_INVALID: the package is not the one that is needed
 */
export async function installCuda({ from, runtime: given }: InstallOptions = {}): Promise<Installation> {
  if (THIS_PLATFORM !== CUDA_PLATFORM)
    throw new StainError('DEVICE_UNAVAILABLE', `ONNX Runtime has CUDA for Node on ${CUDA_PLATFORM} only.`);
  const runtime = given ?? (await installedRuntime());
  const before = await checkCuda({ runtime });
  if (before.provider === 'matching' && from === undefined) return { changed: false, check: before };
  const folder = await mkdtemp(join(tmpdir(), 'stain-cuda-'));
  try {
    const files = await readProviderPackage(
      from ?? (await download(folder, runtime.version)),
      runtime.version,
    );
    await put(files, runtime);
  } finally {
    await rm(folder, { recursive: true });
  }
  return { changed: true, check: await checkCuda({ runtime }) };
}

/** pip and not our own request, so that the index, proxy and certificates are those that this user has set up. */
async function download(folder: string, version: string): Promise<string> {
  const python = process.env['STAIN_PYTHON'] ?? 'python3';
  // The wheels of all Pythons hold the provider of this version: this Python need not be able to use the wheel.
  const target = ['--only-binary=:all:', '--implementation=cp', '--python-version=3.12'];
  const platforms = ['--platform=manylinux_2_28_x86_64', '--platform=manylinux_2_27_x86_64'];
  const args = ['-m', 'pip', 'download', '--no-deps', ...target, ...platforms, '--dest', folder];
  try {
    await promisify(execFile)(python, [...args, `onnxruntime-gpu==${version}`], { maxBuffer: 2 ** 24 });
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string };
    const why = stderr?.match(/^ERROR: .*$/gm)?.at(-1) ?? message.split('\n', 1)[0];
    throw new StainError(
      'DEVICE_UNAVAILABLE',
      `pip did not fetch onnxruntime-gpu ${version}: ${why}. Without a package index, fetch ${packageNames(version)} elsewhere and give it by "npm run install-cuda -- --from FILE".`,
      { cause },
    );
  }
  return join(folder, (await readdir(folder))[0]!);
}

/** Each file is written beside its place and renamed, so that a service that starts meanwhile finds no half of it. */
async function put(files: ReadonlyMap<string, Buffer>, { folder, version }: Runtime): Promise<void> {
  for (const [name, data] of files) {
    const place = join(folder, name);
    try {
      await writeFile(`${place}.part`, data);
      if (name === PROVIDER && !(await isOfVersion(`${place}.part`, version)))
        throw new StainError('CUDA_PACKAGE_INVALID', `${name} in the package is not of version ${version}.`);
      await rename(`${place}.part`, place);
    } catch (cause) {
      await rm(`${place}.part`, { force: true });
      if (cause instanceof StainError) throw cause;
      throw new StainError('DEVICE_UNAVAILABLE', `${place} cannot be written: ${(cause as Error).message}`, {
        cause,
      });
    }
  }
}
