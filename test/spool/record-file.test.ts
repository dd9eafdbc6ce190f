import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { readRecords, writeRecords } from '../../server/src/spool/record-file.ts';
import { runs } from '../support/property-runs.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stain-records-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Bytes that were reserved and not released. */
let held = 0;
const room = {
  async take(bytes: number) {
    held += bytes;
  },
  give(bytes: number) {
    held -= bytes;
  },
};
beforeEach(() => {
  held = 0;
});

const path = () => join(folder, 'records');
const aside = () => join(folder, `aside-${crypto.randomUUID()}`);

it('returns what was written, and the newest of several', async () => {
  const records = [{ a: 1, b: [Float32Array.of(0.5, -1)] }, new Map([[1, 'x']]), null];
  await writeRecords(path(), aside(), [1], room);
  await writeRecords(path(), aside(), records, room);
  expect(await readRecords(path())).toEqual(records);
  expect(await readdir(folder)).toEqual(['records']);
  expect(await readRecords(join(folder, 'none'))).toBeUndefined();
});

it('returns nothing if a byte is changed or missing', async () => {
  const records = [{ pixels: Uint8Array.from({ length: 300 }, (_, i) => i) }, 'end'];
  await writeRecords(path(), aside(), records, room);
  const whole = await readFile(path());
  await fc.assert(
    fc.asyncProperty(
      fc.nat(whole.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.boolean(),
      async (at, flip, cut) => {
        const damaged = Buffer.from(cut && at > 0 ? whole.subarray(0, at) : whole);
        if (!cut || at === 0) damaged[at]! ^= flip;
        await writeFile(path(), damaged);
        expect(await readRecords(path())).toBeUndefined();
      },
    ),
    { numRuns: runs(300) },
  );
});

it('returns nothing that another version of V8 has written', async () => {
  const body = Buffer.from([0xff, 0x7f, 0x00]);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(body.length);
  head.writeUInt32LE(crc32(body), 4);
  await writeFile(path(), Buffer.concat([head, body]));
  expect(await readRecords(path())).toBeUndefined();
});

it('keeps the previous one if writing fails', async () => {
  await writeRecords(path(), aside(), ['first'], room);
  const failing = (function* () {
    yield 'second';
    throw new Error('no');
  })();
  await expect(writeRecords(path(), aside(), failing, room)).rejects.toThrow('no');
  expect(await readRecords(path())).toEqual(['first']);
  expect(await readdir(folder)).toEqual(['records']);
});

it('reserves room for all bytes before they are written, and releases those that it removes', async () => {
  const bytes = await writeRecords(path(), aside(), [new Uint8Array(3e6)], room);
  expect((await readFile(path())).length).toBe(bytes);
  expect(held).toBe(bytes);
  const full = { ...room, take: () => Promise.reject(new StainError('SPOOL_FULL', 'No.')) };
  await expect(writeRecords(path(), aside(), ['x'], full)).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  expect(held).toBe(bytes);
  const partly = { ...room, take: (more: number) => (held > 4e6 ? full.take() : room.take(more)) };
  const many = Array.from({ length: 8 }, () => new Uint8Array(1e6));
  await expect(writeRecords(path(), aside(), many, partly)).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  expect(held).toBe(bytes);
  expect(await readdir(folder)).toEqual(['records']);
});
