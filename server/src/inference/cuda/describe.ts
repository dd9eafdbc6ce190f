/** Describes the result of a check: one line for an error, a page for a person installing CUDA. */
import type { CudaCheck, Missing } from './check.ts';
import { MINIMUM_DRIVER, packageOf } from './requirements.ts';
import { PROVIDER } from './runtime.ts';

/** "libcublas.so.13, libcublasLt.so.13 (pip package ...); libcuda.so.1 (the NVIDIA driver ...)" */
export function describeMissing(missing: readonly Missing[]): string {
  return [...Map.groupBy(missing, ({ remedy }) => remedy)]
    .map(([remedy, those]) => `${those.map(({ name }) => name).join(', ')} (${remedy})`)
    .join('; ');
}

/** What was found and where, what is missing, and what to do next. */
export function describeCheck(check: CudaCheck): string {
  const { runtime, provider, libraries, driver, tensorRt, missing } = check;
  const row = (name: string, state: string): string => `  ${name.padEnd(34)} ${state}`;
  return [
    `ONNX Runtime ${runtime.version}, ${runtime.folder}`,
    row(PROVIDER, provider === 'matching' ? `version ${runtime.version}` : provider.toUpperCase()),
    ...libraries.map(({ name, path, isRequired }) =>
      row(name, path ?? (isRequired ? 'MISSING' : 'not found; not required')),
    ),
    row(
      'NVIDIA driver',
      driver.version ?? `not loaded, or not visible; version ${MINIMUM_DRIVER} or newer is required`,
    ),
    ...driver.cards.map((card) => row('card', card)),
    row('TensorRT (not used)', describeTensorRt(tensorRt)),
    '',
    ...(missing.length === 0
      ? [
          'No file is missing. "stain-normalization --device cuda info" runs the network and proves that it works.',
        ]
      : ['Missing:', ...missing.map(({ name, remedy }) => row(name, remedy)), ...nextSteps(missing)]),
  ].join('\n');
}

function describeTensorRt({ provider, library }: CudaCheck['tensorRt']): string {
  return `provider ${provider ? 'there' : 'not there'}, libnvinfer.so.10 ${library ?? 'not found'}`;
}

/** Commands for what Python packages can provide: they work without the distribution's packages and without root. */
function nextSteps(missing: readonly Missing[]): string[] {
  const packages = [
    ...new Set(missing.map(({ name }) => packageOf(name)).filter((name) => name !== undefined)),
  ];
  if (packages.length === 0) return [];
  return [
    '',
    "These libraries are in the distribution's packages of CUDA 13 and cuDNN 9, and in NVIDIA's Python packages. For the",
    'Python packages, tell the loader where they are:',
    `  pip install --target ./var/cuda ${packages.map((name) => `'${name}'`).join(' ')}`,
    '  export LD_LIBRARY_PATH="$(echo "$PWD"/var/cuda/nvidia/*/lib | tr " " ":"):$LD_LIBRARY_PATH"',
    'Then try "stain-normalization install-cuda --check" again, in the same shell.',
  ];
}
