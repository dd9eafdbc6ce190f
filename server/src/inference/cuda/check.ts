/** Checks whether CUDA can be used: the provider and its version, NVIDIA's libraries by name, the driver. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { type Driver, readDriver } from './driver.ts';
import { neededLibraries } from './elf.ts';
import { type FindLibrary, loaderSearch } from './library-search.ts';
import {
  DRIVER_LIBRARY,
  isFromNvidia,
  MINIMUM_DRIVER,
  NEEDED_LATER,
  OPTIONAL,
  packageOf,
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

/** Something that is not there, and what brings it. */
export interface Missing {
  readonly name: string;
  readonly remedy: string;
}

/** The provider's file beside the runtime: of the runtime's version, of another one, not whole, or none. */
export type ProviderState = 'matching' | 'other version' | 'damaged' | 'absent';

export interface CudaCheck {
  readonly runtime: Runtime;
  readonly provider: ProviderState;
  /** NVIDIA's libraries, and those of the system that are missing. */
  readonly libraries: readonly LibraryState[];
  readonly driver: Driver;
  /** Only looked for: this product does not use TensorRT. */
  readonly tensorRt: { readonly provider: boolean; readonly library: string | undefined };
  /** Empty when nothing speaks against CUDA; whether it works is told by running it (device-proof.ts). */
  readonly missing: readonly Missing[];
}

export interface CheckOptions {
  readonly runtime?: Runtime;
  readonly find?: FindLibrary;
  readonly driver?: Driver;
  /** Operating system and processor, as Node names them. */
  readonly platform?: string;
}

export async function checkCuda(options: CheckOptions = {}): Promise<CudaCheck> {
  const runtime = options.runtime ?? (await installedRuntime());
  const find = options.find ?? (await loaderSearch(process.env));
  const driver = options.driver ?? (await readDriver());
  const platform = options.platform ?? THIS_PLATFORM;
  const { provider, needed } = await readProvider(runtime);
  const states = await Promise.all(
    [...new Set([...needed, ...NEEDED_LATER, ...OPTIONAL])].map(async (name) => ({
      name,
      path: await find(name),
      isRequired: !OPTIONAL.includes(name),
    })),
  );
  const libraries = states.filter(({ name, path }) => isFromNvidia(name) || path === undefined);
  return {
    runtime,
    provider,
    libraries,
    driver,
    tensorRt: {
      provider: await exists(join(runtime.folder, 'libonnxruntime_providers_tensorrt.so')),
      library: await find('libnvinfer.so.10'),
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
        : [{ name: CUDA_PLATFORM, remedy: 'ONNX Runtime has CUDA for Node on no other system' }],
  };
}

/** The state of the provider, and the libraries that it needs: those it usually does where it cannot tell. */
async function readProvider({
  folder,
  version,
}: Runtime): Promise<{ provider: ProviderState; needed: readonly string[] }> {
  const unusable = (provider: ProviderState) => ({ provider, needed: USUALLY_NEEDED });
  for (const file of PROVIDER_FILES) if (!(await exists(join(folder, file)))) return unusable('absent');
  try {
    const needed = await neededLibraries(join(folder, PROVIDER));
    if (!(await isOfVersion(join(folder, PROVIDER), version))) return unusable('other version');
    return { provider: 'matching', needed };
  } catch {
    return unusable('damaged');
  }
}

function missingProvider(state: ProviderState, { version }: Runtime): Missing[] {
  if (state === 'matching') return [];
  const found = {
    'other version': ', not of another version as now',
    damaged: ', not a damaged one as now',
    absent: '',
  };
  return [{ name: `${PROVIDER} ${version}${found[state]}`, remedy: '"npm run install-cuda"' }];
}

function missingLibrary({ name }: LibraryState): Missing {
  if (name === DRIVER_LIBRARY)
    return {
      name,
      remedy: `the NVIDIA driver, ${MINIMUM_DRIVER} or newer; in a container, the NVIDIA Container Toolkit and --gpus all`,
    };
  const pip = packageOf(name);
  return { name, remedy: pip ? `pip package ${pip}` : 'packages of the distribution' };
}

function missingDriver({ version }: Driver): Missing[] {
  if (version === undefined || Number.parseInt(version, 10) >= MINIMUM_DRIVER) return [];
  return [
    {
      name: `a driver for CUDA 13 (there is ${version})`,
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
