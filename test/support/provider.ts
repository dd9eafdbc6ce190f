/** Stand-ins for the CUDA provider: a shared library that needs what it is told to, and the packages that hold it. */
import AdmZip from 'adm-zip';
import { PROVIDER_FILES } from '../../server/src/inference/cuda/runtime.ts';

/** An ELF file with a dynamic section and nothing to run; it names its version as the provider does. */
export function sharedLibrary(needed: readonly string[], version: string): Buffer {
  const strings = Buffer.from(`\0${[...needed, version].join('\0')}\0`, 'latin1');
  const base = 0x40_0000;
  const dynamicAt = 64 + 2 * 56;
  const entries: [tag: number, value: number][] = needed.map((name) => [
    1,
    strings.indexOf(`\0${name}\0`) + 1,
  ]);
  const stringsAt = dynamicAt + (entries.length + 3) * 16;
  entries.push([5, base + stringsAt], [10, strings.length], [0, 0]);
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(2, 56);
  const segment = (type: number, offset: number, bytes: number): Buffer => {
    const entry = Buffer.alloc(56);
    entry.writeUInt32LE(type, 0);
    entry.writeBigUInt64LE(BigInt(offset), 8);
    entry.writeBigUInt64LE(BigInt(base + offset), 16);
    entry.writeBigUInt64LE(BigInt(bytes), 32);
    return entry;
  };
  const dynamic = Buffer.concat(
    entries.map(([tag, value]) => {
      const entry = Buffer.alloc(16);
      entry.writeBigUInt64LE(BigInt(tag), 0);
      entry.writeBigUInt64LE(BigInt(value), 8);
      return entry;
    }),
  );
  return Buffer.concat([
    header,
    segment(1, 0, stringsAt + strings.length),
    segment(2, dynamicAt, dynamic.length),
    dynamic,
    strings,
  ]);
}

export interface PackageOptions {
  /** What the package says of itself. */
  readonly version: string;
  /** What the library in it was built as; the same when left out. */
  readonly built?: string;
  readonly name?: string;
  readonly files?: readonly string[];
}

export function wheel({ version, built = version, name = 'onnxruntime-gpu', files }: PackageOptions): Buffer {
  const zip = new AdmZip();
  zip.addFile(
    `${name.replace('-', '_')}-${version}.dist-info/METADATA`,
    Buffer.from(`Metadata-Version: 2.4\nName: ${name}\nVersion: ${version}\n`),
  );
  for (const file of files ?? PROVIDER_FILES)
    zip.addFile(`onnxruntime/capi/${file}`, sharedLibrary(['libcudart.so.13'], built));
  return zip.toBuffer();
}

export function nuGetPackage({ version }: PackageOptions): Buffer {
  const zip = new AdmZip();
  const id = 'Microsoft.ML.OnnxRuntime.Gpu.Linux';
  const text = `<package><metadata><id>${id}</id><version>${version}</version></metadata></package>`;
  zip.addFile(`${id}.nuspec`, Buffer.from(text));
  for (const file of PROVIDER_FILES)
    zip.addFile(`runtimes/linux-x64/native/${file}`, sharedLibrary(['libcudart.so.13'], version));
  return zip.toBuffer();
}
