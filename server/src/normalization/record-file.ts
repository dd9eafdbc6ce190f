/**
 * A file of plain values that is there whole or not at all: each value as V8 serialises it (typed arrays and maps
 * included) behind its length and CRC-32, the file written aside, put on the disk and then in its place.
 */
import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import { toStainError } from '../errors.ts';

const HEAD_BYTES = 8;
/** Small values are written together. */
const BATCH_BYTES = 1024 * 1024;

/**
 * Values must not change until this resolves; they are serialised one after the other, and others get their turn in
 * between. @param aside a file that does not exist yet, in the folder of `path` @throws SPOOL_FULL
 */
export async function writeRecords(path: string, aside: string, records: Iterable<unknown>): Promise<void> {
  try {
    const file = await open(aside, 'wx', 0o600);
    try {
      await writeAll(file, records);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw toStainError(error);
  }
}

async function writeAll(file: FileHandle, records: Iterable<unknown>): Promise<void> {
  let [batch, size]: [Uint8Array[], number] = [[], 0];
  const flush = async (): Promise<void> => {
    await file.writeFile(Buffer.concat(batch));
    [batch, size] = [[], 0];
  };
  for (const record of counted(records)) {
    const body = serialize(record);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(body.length);
    head.writeUInt32LE(crc32(body), 4);
    batch.push(head, body);
    size += HEAD_BYTES + body.length;
    if (size >= BATCH_BYTES) await flush();
  }
  await flush();
}

/** The number of records follows them: a file that is cut between two of them is not whole. */
function* counted(records: Iterable<unknown>): Generator<unknown> {
  let count = 0;
  for (const record of records) {
    yield record;
    count++;
  }
  yield count;
}

/** @returns undefined where there is no such file, or one that cannot be read as it was written */
export async function readRecords(path: string): Promise<unknown[] | undefined> {
  const bytes = await readFile(path).catch(() => undefined);
  if (!bytes) return undefined;
  const records: unknown[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + HEAD_BYTES > bytes.length) return undefined;
    const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + bytes.readUInt32LE(at));
    if (body.length !== bytes.readUInt32LE(at) || crc32(body) !== bytes.readUInt32LE(at + 4))
      return undefined;
    try {
      records.push(deserialize(body));
    } catch {
      // Of another V8: an upgrade came between.
      return undefined;
    }
    at += HEAD_BYTES + body.length;
  }
  return records.pop() === records.length ? records : undefined;
}
