/** Installs the CUDA provider of exactly the runtime's version beside the runtime. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StainError } from '../../../../core/src/errors.ts';
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
  /** Local wheel or NuGet package; fetched with pip if undefined. */
  readonly from?: string | undefined;
  readonly runtime?: Runtime;
}

export interface Installation {
  /** False if the provider was already there. */
  readonly changed: boolean;
  readonly check: CudaCheck;
}

/**
 * Does nothing if the right version of the provider is there and no package is given.
 * @throws DEVICE_UNAVAILABLE: CUDA does not exist for this system, or the package cannot be fetched or installed
 * @throws CUDA_PACKAGE_INVALID: it is not the required package
 */
export async function installCuda({ from, runtime: given }: InstallOptions = {}): Promise<Installation> {
  if (THIS_PLATFORM !== CUDA_PLATFORM)
    throw new StainError(
      'DEVICE_UNAVAILABLE',
      `ONNX Runtime supports CUDA in Node only on ${CUDA_PLATFORM}.`,
    );
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

/** Uses pip rather than our own request, so that the index, proxy and certificates are those configured by the user. */
async function download(folder: string, version: string): Promise<string> {
  const python = process.env['STAIN_PYTHON'] ?? 'python3';
  // The wheels of all Python versions contain this provider: the local Python need not be able to use the wheel.
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
      `pip did not fetch onnxruntime-gpu ${version}: ${why}. Without a package index, download ${packageNames(version)} elsewhere and pass it with "stain-normalization install-cuda --from FILE".`,
      { cause },
    );
  }
  return join(folder, (await readdir(folder))[0]!);
}

/** Each file is written aside and renamed, so that a service starting at the same time never finds half a file. */
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
