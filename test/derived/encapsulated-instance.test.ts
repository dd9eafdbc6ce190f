import { rm, truncate, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EncapsulatedInstance } from '../../server/src/derived/encapsulated-instance.ts';
import { layOutFrames } from '../../server/src/dicom/offset-table.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { FrameSpool } from '../../server/src/spool/frame-spool.ts';
import { temporaryFolder } from '../dicom/temporary-folder.ts';
import { JPEG_BASELINE, makeSlideHeader } from '../support/make-slide.ts';
import { runs } from '../support/property-runs.ts';

const signal = new AbortController().signal;

function header(frames: readonly Uint8Array[]) {
  return makeSlideHeader({ rows: 8, columns: 8, totalRows: 8, totalColumns: 8 * frames.length, frames });
}

async function bytesOf(instance: EncapsulatedInstance): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of instance.stream()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const frameLists = fc.array(fc.uint8Array({ minLength: 1, maxLength: 90 }), { minLength: 1, maxLength: 12 });

test('frames spooled in any order are in frame order in the file, with the same bytes every time', async () => {
  await fc.assert(
    fc.asyncProperty(
      frameLists.chain((frames) =>
        fc.tuple(fc.constant(frames), fc.shuffledSubarray([...frames.keys()], { minLength: frames.length })),
      ),
      async ([frames, order]) => {
        await using folder = await temporaryFolder();
        await using spool = await FrameSpool.create(folder.file('spool'), frames.length);
        await Promise.all(order.map((i) => spool.append(i, frames[i]!)));
        const instance = new EncapsulatedInstance({
          dataset: header(frames),
          transferSyntaxUid: JPEG_BASELINE,
          spool,
        });
        const bytes = await bytesOf(instance);
        expect(bytes.length).toBe(instance.byteLength);
        expect(await bytesOf(instance)).toEqual(bytes);
        await writeFile(folder.file('a.dcm'), bytes);
        await using file = await openPart10(folder.file('a.dcm'));
        expect(file.transferSyntaxUid).toBe(JPEG_BASELINE);
        expect(file.meta.string('MediaStorageSOPInstanceUID')).toBe(instance.sopInstanceUid);
        for (const [i, frame] of frames.entries()) {
          const padding = frame.length % 2;
          expect(Buffer.from(await file.frame(i))).toEqual(Buffer.concat([frame, Buffer.alloc(padding)]));
        }
      },
    ),
    { numRuns: runs(40) },
  );
});

test('a slide larger than the batches of the spool', async () => {
  await using folder = await temporaryFolder();
  const frames = Array.from({ length: 60 }, (_, i) => new Uint8Array(200_001).fill(i + 1));
  await using spool = await FrameSpool.create(folder.file('spool'), frames.length);
  for (const i of [...frames.keys()].sort((a, b) => ((a * 37) % 60) - ((b * 37) % 60)))
    await spool.append(i, frames[i]!);
  let index = 0;
  for await (const frame of spool.frames()) {
    expect(frame.length).toBe(200_001);
    expect(frame.every((value) => value === index + 1)).toBe(true);
    index++;
  }
  expect(index).toBe(60);
});

describe('offset table', () => {
  test('is basic below 4 GiB and counts headers and padding', () => {
    const { basicTable, before, fragmentBytes } = layOutFrames(3, (i) => [3, 4, 5][i]!);
    expect([...new Uint32Array(basicTable.buffer)]).toEqual([0, 12, 24]);
    expect([before.length, fragmentBytes]).toEqual([0, 38]);
  });

  test('is extended if an offset needs more than 32 bits, and not before', () => {
    const half = 2 ** 31 - 8;
    expect(layOutFrames(2, () => half).before).toHaveLength(0);
    const { basicTable, before } = layOutFrames(3, () => half);
    expect(basicTable).toHaveLength(0);
    const view = new DataView(before.buffer, before.byteOffset, before.byteLength);
    expect([0, 1, 2].map((i) => Number(view.getBigUint64(12 + 8 * i, true)))).toEqual([0, 2 ** 31, 2 ** 32]);
    expect(Number(view.getBigUint64(12 + 24 + 12, true))).toBe(half);
  });
});

describe('spool', () => {
  test('accepts each frame once, and none that is empty or out of range', async () => {
    await using folder = await temporaryFolder();
    await using spool = await FrameSpool.create(folder.file('spool'), 2);
    await spool.append(0, Uint8Array.of(1));
    await expect(spool.append(0, Uint8Array.of(1))).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(spool.append(2, Uint8Array.of(1))).rejects.toMatchObject({ code: 'INTERNAL' });
    await expect(spool.append(1, new Uint8Array(0))).rejects.toMatchObject({ code: 'INTERNAL' });
    expect(spool.totalBytes).toBe(1);
    const frames = [Uint8Array.of(1), Uint8Array.of(2)];
    const make = () =>
      new EncapsulatedInstance({ dataset: header(frames), transferSyntaxUid: JPEG_BASELINE, spool });
    expect(make).toThrow(/not spooled/);
  });

  test('continues in another process with what was saved, whatever the first one still writes', async () => {
    await using folder = await temporaryFolder();
    await using first = await FrameSpool.create(folder.file('first'), 3);
    await first.append(1, Uint8Array.of(1, 1));
    const saved = structuredClone(await first.save());
    await first.append(0, Uint8Array.of(9));
    await using second = (await FrameSpool.resume(folder.file('second'), saved, signal))!;
    await first.append(2, Uint8Array.of(9, 9, 9));
    await second.append(2, Uint8Array.of(2));
    await second.append(0, Uint8Array.of(0));
    const third = await FrameSpool.resume(folder.file('third'), structuredClone(await second.save()), signal);
    const frames: number[][] = [];
    for await (const frame of third!.frames()) frames.push([...frame]);
    expect(frames).toEqual([[0], [1, 1], [2]]);
    expect(third!.totalBytes).toBe(4);
    await third!.close();
    await third!.close();
  });

  test.each<[string, (path: string) => Promise<void>]>([
    ['a changed byte', (path) => writeFile(path, Uint8Array.of(1, 2, 4))],
    ['a truncated file', (path) => truncate(path, 2)],
    ['a missing file', (path) => rm(path)],
  ])('does not trust what was saved: %s', async (_what, damage) => {
    await using folder = await temporaryFolder();
    await using spool = await FrameSpool.create(folder.file('first'), 2);
    await spool.append(1, Uint8Array.of(1, 2, 3));
    const saved = structuredClone(await spool.save());
    await damage(folder.file('first'));
    expect(await FrameSpool.resume(folder.file('second'), saved, signal)).toBeUndefined();
  });

  test('stops when aborted', async () => {
    await using folder = await temporaryFolder();
    await using spool = await FrameSpool.create(folder.file('spool'), 1);
    await spool.append(0, Uint8Array.of(1));
    await expect(spool.frames(AbortSignal.abort()).next()).rejects.toThrow(/abort/i);
  });
});
