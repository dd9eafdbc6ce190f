/**
 * A file of plain values that is either complete or absent: each value as V8 serialises it (including typed arrays and
 * maps), preceded by its length and CRC-32. The file is written aside, synced to disk and then renamed.
 */
import { open, readFile, rename, rm } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import { toStainError } from '../../../core/src/errors.ts';

/** Reserves room before bytes are written, and gets it back when they are removed. */
export interface RoomKeeper {
  take(bytes: number): Promise<void>;
  give(bytes: number): void;
}

const HEAD_BYTES = 8;
/** Small values are written together. */
const BATCH_BYTES = 1024 * 1024;

/**
 * Values must not change until this resolves; they are serialised one after the other, and other work gets its turn in
 * between.
 * @param aside a file that does not exist yet, in the folder of `path` @returns size of the file in bytes
 * @throws SPOOL_FULL, SPOOL_TOO_SMALL
 */
export async function writeRecords(
  path: string,
  aside: string,
  records: Iterable<unknown>,
  room: RoomKeeper,
): Promise<number> {
  let taken = 0;
  try {
    const file = await open(aside, 'wx', 0o600);
    try {
      for (const batch of batches(records)) {
        await room.take(batch.length);
        taken += batch.length;
        await file.writeFile(batch);
      }
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
    return taken;
  } catch (error) {
    await rm(aside, { force: true });
    room.give(taken);
    throw toStainError(error);
  }
}

function* batches(records: Iterable<unknown>): Generator<Buffer> {
  let [batch, size]: [Uint8Array[], number] = [[], 0];
  for (const record of counted(records)) {
    const body = serialize(record);
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(body.length);
    head.writeUInt32LE(crc32(body), 4);
    batch.push(head, body);
    size += HEAD_BYTES + body.length;
    if (size < BATCH_BYTES) continue;
    yield Buffer.concat(batch);
    [batch, size] = [[], 0];
  }
  yield Buffer.concat(batch);
}

/** The records are followed by their number: a file cut off between two records is incomplete. */
function* counted(records: Iterable<unknown>): Generator<unknown> {
  let count = 0;
  for (const record of records) {
    yield record;
    count++;
  }
  yield count;
}

/** @returns undefined if the file does not exist or is not as it was written */
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
      // A copy: arrays of the record are views of what it is read from, and would keep the whole file.
      records.push(deserialize(new Uint8Array(body)));
    } catch {
      // Written by another version of V8, before an upgrade.
      return undefined;
    }
    at += HEAD_BYTES + body.length;
  }
  return records.pop() === records.length ? records : undefined;
}
