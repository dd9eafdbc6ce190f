/** Stand-ins for the CUDA provider: a shared library with chosen dependencies, and packages that contain it. */
import AdmZip from 'adm-zip';
import { PROVIDER_FILES } from '../../server/src/inference/cuda/runtime.ts';

/** The parts of the ELF64 format (elf.h) that a library without code needs. */
const [HEADER_BYTES, SEGMENT_BYTES, ENTRY_BYTES, SYMBOL_BYTES] = [64, 56, 16, 24];
const [ET_DYN, EM_X86_64] = [3, 62];
const [PT_LOAD, PT_DYNAMIC] = [1, 2];
const [READABLE, WRITABLE] = [4, 2];
const [DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ] = [1, 4, 5, 6, 10];
/** One bucket and one chain, both empty. */
const HASH_TABLE = [1, 1, 0, 0];

/** An ELF file without code that the system loader accepts; it contains its version like the provider does. */
export function sharedLibrary(needed: readonly string[], version: string): Buffer {
  const strings = Buffer.from(`\0${[...needed, version].join('\0')}\0`, 'latin1');
  const dynamicAt = HEADER_BYTES + 2 * SEGMENT_BYTES;
  const dynamicBytes = (needed.length + 5) * ENTRY_BYTES;
  const symbolsAt = dynamicAt + dynamicBytes;
  const hashAt = symbolsAt + SYMBOL_BYTES;
  const stringsAt = hashAt + HASH_TABLE.length * 4;
  const header = Buffer.alloc(HEADER_BYTES);
  header.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  header.writeUInt16LE(ET_DYN, 16);
  header.writeUInt16LE(EM_X86_64, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
  header.writeUInt16LE(HEADER_BYTES, 52);
  header.writeUInt16LE(SEGMENT_BYTES, 54);
  header.writeUInt16LE(2, 56);
  const segment = (type: number, offset: number, bytes: number, alignment: number): Buffer => {
    const entry = Buffer.alloc(SEGMENT_BYTES);
    entry.writeUInt32LE(type, 0);
    entry.writeUInt32LE(READABLE | WRITABLE, 4);
    // The library is loaded as it lies in the file: addresses are offsets.
    for (const at of [8, 16, 24]) entry.writeBigUInt64LE(BigInt(offset), at);
    for (const at of [32, 40]) entry.writeBigUInt64LE(BigInt(bytes), at);
    entry.writeBigUInt64LE(BigInt(alignment), 48);
    return entry;
  };
  const entries: [tag: number, value: number][] = [
    ...needed.map((name): [number, number] => [DT_NEEDED, strings.indexOf(`\0${name}\0`) + 1]),
    [DT_HASH, hashAt],
    [DT_STRTAB, stringsAt],
    [DT_SYMTAB, symbolsAt],
    [DT_STRSZ, strings.length],
    [0, 0],
  ];
  return Buffer.concat([
    header,
    segment(PT_LOAD, 0, stringsAt + strings.length, 4096),
    segment(PT_DYNAMIC, dynamicAt, dynamicBytes, 8),
    Buffer.from(BigUint64Array.from(entries.flat(), BigInt).buffer),
    // One symbol, which every table begins with, and a hash table that finds none.
    Buffer.alloc(SYMBOL_BYTES),
    Buffer.from(Uint32Array.from(HASH_TABLE).buffer),
    strings,
  ]);
}

export interface PackageOptions {
  /** The version of the package. */
  readonly version: string;
  /** The version of the library in it. Default: the same. */
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
