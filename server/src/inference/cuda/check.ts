/** Checks whether CUDA can be used: the provider and its version, NVIDIA's libraries by name, the driver. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Driver, readDriver } from './driver.ts';
import { askLoader, type FoundLibraries } from './loader.ts';
import {
  DRIVER_LIBRARY,
  isFromNvidia,
  MINIMUM_DRIVER,
  NEEDED_LATER,
  OPTIONAL,
  packageOf,
  TENSOR_RT,
  USUALLY_NEEDED,
} from './requirements.ts';
import {
  CUDA_PLATFORM,
  installedRuntime,
  isOfVersion,
  PROVIDER,
  PROVIDER_FILES,
  type Runtime,
  THIS_PLATFORM,
} from './runtime.ts';

/** A library and where it was found. */
export interface LibraryState {
  readonly name: string;
  readonly path: string | undefined;
  readonly isRequired: boolean;
}

/** Something missing, and how to get it. */
export interface Missing {
  readonly name: string;
  readonly remedy: string;
}

/** The provider file beside the runtime: of the runtime's version, of another version, damaged, or missing. */
export type ProviderState = 'matching' | 'other version' | 'damaged' | 'absent';

export interface CudaCheck {
  readonly runtime: Runtime;
  readonly provider: ProviderState;
  /** NVIDIA's libraries, and any missing system libraries. */
  readonly libraries: readonly LibraryState[];
  readonly driver: Driver;
  /** Reported only: this product does not use TensorRT. */
  readonly tensorRt: { readonly provider: boolean; readonly library: string | undefined };
  /** Empty if nothing rules CUDA out; only a run proves that it works (device-proof.ts). */
  readonly missing: readonly Missing[];
}

export interface CheckOptions {
  readonly runtime?: Runtime;
  /** With which this process was started: the loader read LD_LIBRARY_PATH then, and never again. */
  readonly environment?: NodeJS.ProcessEnv;
  readonly driver?: Driver;
  /** Operating system and processor, as Node names them. */
  readonly platform?: string;
}

export async function checkCuda(options: CheckOptions = {}): Promise<CudaCheck> {
  const runtime = options.runtime ?? (await installedRuntime());
  const driver = options.driver ?? (await readDriver());
  const platform = options.platform ?? THIS_PLATFORM;
  const { provider, found } = await readProvider(runtime, options.environment ?? process.env);
  const libraries = [...found]
    .map(([name, path]) => ({ name, path, isRequired: !OPTIONAL.includes(name) }))
    .filter(({ name, path }) => name !== TENSOR_RT && (isFromNvidia(name) || path === undefined));
  return {
    runtime,
    provider,
    libraries,
    driver,
    tensorRt: {
      provider: await exists(join(runtime.folder, 'libonnxruntime_providers_tensorrt.so')),
      library: found.get(TENSOR_RT),
    },
    missing:
      platform === CUDA_PLATFORM
        ? [
            ...missingProvider(provider, runtime),
            ...libraries
              .filter(({ path, isRequired }) => isRequired && path === undefined)
              .map(missingLibrary),
            ...missingDriver(driver),
          ]
        : [{ name: CUDA_PLATFORM, remedy: 'ONNX Runtime supports CUDA in Node on no other system' }],
  };
}

/** The state of the provider, and the libraries that it needs: the usual ones if the file cannot tell. */
async function readProvider(
  { folder, version }: Runtime,
  environment: NodeJS.ProcessEnv,
): Promise<{ provider: ProviderState; found: FoundLibraries }> {
  const others = [...NEEDED_LATER, ...OPTIONAL, TENSOR_RT];
  const unusable = async (provider: ProviderState) => {
    const names = [...USUALLY_NEEDED, ...others];
    const found = await askLoader(process.execPath, names, environment).catch(
      // A system for which there is no provider.
      () => new Map(names.map((name) => [name, undefined])),
    );
    return { provider, found };
  };
  for (const file of PROVIDER_FILES) if (!(await exists(join(folder, file)))) return unusable('absent');
  try {
    const found = await askLoader(join(folder, PROVIDER), others, environment);
    if (!(await isOfVersion(join(folder, PROVIDER), version))) return unusable('other version');
    return { provider: 'matching', found };
  } catch {
    return unusable('damaged');
  }
}

function missingProvider(state: ProviderState, { version }: Runtime): Missing[] {
  if (state === 'matching') return [];
  const found = {
    'other version': ' (the installed one has another version)',
    damaged: ' (the installed one is damaged)',
    absent: '',
  };
  return [{ name: `${PROVIDER} ${version}${found[state]}`, remedy: '"stain-normalization install-cuda"' }];
}

function missingLibrary({ name }: LibraryState): Missing {
  if (name === DRIVER_LIBRARY)
    return {
      name,
      remedy: `the NVIDIA driver, ${MINIMUM_DRIVER} or newer; in a container, the NVIDIA Container Toolkit and --gpus all`,
    };
  const pip = packageOf(name);
  return { name, remedy: pip ? `pip package ${pip}` : 'packages of the Linux distribution' };
}

function missingDriver({ version }: Driver): Missing[] {
  if (version === undefined || Number.parseInt(version, 10) >= MINIMUM_DRIVER) return [];
  return [
    {
      name: `a driver for CUDA 13 (installed: ${version})`,
      remedy: `the NVIDIA driver, ${MINIMUM_DRIVER} or newer`,
    },
  ];
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
