/**
 * A package with the CUDA provider: the Python wheel onnxruntime-gpu or the NuGet package, both of which are zip files.
 */
import { readFile } from 'node:fs/promises';
import AdmZip from 'adm-zip';
import { StainError } from '../../../../core/src/errors.ts';
import { PROVIDER_FILES } from './runtime.ts';

/** Where each kind of package states its identity, and where its libraries are. */
const KINDS = [
  {
    metadata: /^onnxruntime_gpu-[^/]+\.dist-info\/METADATA$/,
    name: /^Name: (\S+)/m,
    version: /^Version: (\S+)/m,
    expectedName: 'onnxruntime-gpu',
    folder: 'onnxruntime/capi/',
  },
  {
    metadata: /^Microsoft\.ML\.OnnxRuntime\.Gpu\.Linux\.nuspec$/i,
    name: /<id>\s*([^<\s]+)\s*<\/id>/,
    version: /<version>\s*([^<\s]+)\s*<\/version>/,
    expectedName: 'Microsoft.ML.OnnxRuntime.Gpu.Linux',
    folder: 'runtimes/linux-x64/native/',
  },
];

/** What to download elsewhere, for a machine that cannot reach a registry. */
export function packageNames(version: string): string {
  return `the Python wheel onnxruntime-gpu ${version} (Linux, x86-64) or the NuGet package Microsoft.ML.OnnxRuntime.Gpu.Linux ${version}`;
}

/**
 * The provider's libraries by file name, from a package of exactly this version.
 * @throws CUDA_PACKAGE_INVALID: unreadable, the wrong package, the wrong version, or without one of the libraries
 */
export async function readProviderPackage(path: string, version: string): Promise<Map<string, Buffer>> {
  const invalid = (what: string, cause?: unknown): StainError =>
    new StainError('CUDA_PACKAGE_INVALID', `${path} ${what}; ${packageNames(version)} is required.`, {
      cause,
    });
  try {
    return extract(new AdmZip(await readFile(path)), version, invalid);
  } catch (cause) {
    if (cause instanceof StainError) throw cause;
    // The checksums of the zip file are verified during reading.
    throw invalid(`cannot be read as a package (${(cause as Error).message})`, cause);
  }
}

function extract(zip: AdmZip, version: string, invalid: (what: string) => StainError): Map<string, Buffer> {
  const entries = zip.getEntries();
  for (const kind of KINDS) {
    const metadata = entries.find(({ entryName }) => kind.metadata.test(entryName));
    if (!metadata) continue;
    const text = metadata.getData().toString('utf8');
    const found = { name: kind.name.exec(text)?.[1], version: kind.version.exec(text)?.[1] };
    if (found.name?.toLowerCase() !== kind.expectedName.toLowerCase())
      throw invalid(`is the package ${found.name}`);
    if (found.version !== version) throw invalid(`has version ${found.version}`);
    return new Map(
      PROVIDER_FILES.map((file) => {
        const data = zip.getEntry(kind.folder + file)?.getData();
        if (!data?.length) throw invalid(`does not contain ${file}`);
        return [file, data];
      }),
    );
  }
  throw invalid('is neither of the two packages with the provider');
}
