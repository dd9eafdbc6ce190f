/** Reads which libraries a shared library needs, from its ELF dynamic section: nothing is loaded or run. */
import { type FileHandle, open } from 'node:fs/promises';

/** Fields of the ELF64 format (elf.h) that are used here. */
const HEADER_BYTES = 64;
const LITTLE_ENDIAN_64 = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

/**
 * Names of the libraries that the loader must find before this one can be loaded (DT_NEEDED), in their order.
 * @throws Error if the file is no 64-bit little-endian ELF file with a dynamic section, or cannot be read
 */
export async function neededLibraries(path: string): Promise<string[]> {
  await using file = await open(path);
  const header = await readAt(file, 0, HEADER_BYTES);
  if (!LITTLE_ENDIAN_64.every((byte, i) => header[i] === byte))
    throw new Error(`${path} is not a 64-bit little-endian ELF file`);
  const segments = await readSegments(file, header);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (!dynamic) throw new Error(`${path} has no dynamic section`);
  const entries = await readAt(file, dynamic.offset, dynamic.bytes);
  const tags: { tag: number; value: number }[] = [];
  for (let at = 0; at + 16 <= entries.length; at += 16)
    tags.push({ tag: word(entries, at), value: word(entries, at + 8) });
  const entryOf = (tag: number): number => tags.find((entry) => entry.tag === tag)?.value ?? 0;
  const names = await readAt(file, fileOffset(entryOf(DT_STRTAB), segments), entryOf(DT_STRSZ));
  return tags
    .filter(({ tag }) => tag === DT_NEEDED)
    .map(({ value }) => names.toString('latin1', value, names.indexOf(0, value)));
}

async function readSegments(file: FileHandle, header: Buffer): Promise<Segment[]> {
  const size = header.readUInt16LE(54);
  const count = header.readUInt16LE(56);
  const table = await readAt(file, word(header, 32), size * count);
  return Array.from({ length: count }, (_, i) => ({
    type: table.readUInt32LE(i * size),
    offset: word(table, i * size + 8),
    address: word(table, i * size + 16),
    bytes: word(table, i * size + 32),
  }));
}

/** Where in the file lies what is at this address when the library is loaded. */
function fileOffset(address: number, segments: readonly Segment[]): number {
  const holding = segments.find(
    (segment) =>
      segment.type === PT_LOAD && address >= segment.address && address < segment.address + segment.bytes,
  );
  if (!holding) throw new Error('an address of the dynamic section lies in no segment');
  return address - holding.address + holding.offset;
}

/** A 64-bit number; sizes and offsets of real files fit a double. */
function word(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead < length) throw new Error('the ELF file ends too early');
  return buffer;
}
