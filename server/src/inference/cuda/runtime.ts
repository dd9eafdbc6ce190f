/** The installed onnxruntime-node: its version, and where it loads its CUDA provider from. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The two files that ONNX Runtime loads for CUDA: the provider, and the bridge between it and the runtime. */
export const PROVIDER_FILES = [
  'libonnxruntime_providers_cuda.so',
  'libonnxruntime_providers_shared.so',
] as const;
export const PROVIDER = PROVIDER_FILES[0];

/** The only system for which ONNX Runtime supports CUDA in Node. */
export const CUDA_PLATFORM = 'linux/x64';
export const THIS_PLATFORM = `${process.platform}/${process.arch}`;

export interface Runtime {
  readonly version: string;
  /** Folder of libonnxruntime.so; the provider must lie beside it. */
  readonly folder: string;
}

export async function installedRuntime(): Promise<Runtime> {
  const manifest = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  return { version, folder: join(dirname(manifest), 'bin/napi-v6/linux/x64') };
}

/**
 * Whether a provider library was built as this version. Its version is a separate string in the file. A provider of
 * another version must not be loaded, because the interface between the two is private and changes.
 * @throws Error with code ENOENT if there is no such file
 */
export async function isOfVersion(path: string, version: string): Promise<boolean> {
  const wanted = Buffer.from(`\0${version}\0`);
  let tail = Buffer.alloc(0);
  // A quarter of a gigabyte, so it is read in chunks that overlap by the length of the search string.
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 22 })) {
    const piece = Buffer.concat([tail, chunk as Buffer]);
    if (piece.includes(wanted)) return true;
    tail = piece.subarray(-wanted.length);
  }
  return false;
}
