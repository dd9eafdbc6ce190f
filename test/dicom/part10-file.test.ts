import { open } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import type { FileWindow } from '../../server/src/dicom/file-window.ts';
import { statedBorders } from '../../server/src/dicom/offset-tables.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import {
  EXPLICIT_LITTLE_ENDIAN,
  makeSlideInstance,
  type SlideInstanceOptions,
} from '../support/make-slide.ts';
import { runs } from '../support/property-runs.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** Frames that begin like JPEG; each has its own length and content. */
function frames(count: number, size = 40): Uint8Array[] {
  return Array.from({ length: count }, (_, i) =>
    Uint8Array.from({ length: size + i }, (_, at) => [0xff, 0xd8][at] ?? (i * 7 + at) & 0x7f),
  );
}

function slide(options: Partial<SlideInstanceOptions>): Uint8Array {
  return makeSlideInstance({
    rows: 8,
    columns: 8,
    totalRows: 16,
    totalColumns: 24,
    frames: frames(6),
    ...options,
  });
}

async function framesOf(bytes: Uint8Array, isReadInPart = false): Promise<Uint8Array[]> {
  await using folder = await temporaryFolder();
  await using file = await openPart10(await folder.write('slide.dcm', bytes), { isReadInPart });
  return await Promise.all(Array.from({ length: file.numberOfFrames }, (_, i) => file.frame(i)));
}

async function failure(bytes: Uint8Array, isReadInPart = false): Promise<unknown> {
  return framesOf(bytes, isReadInPart).then(
    () => undefined,
    (error: unknown) => error,
  );
}

function padded(all: readonly Uint8Array[]): Uint8Array[] {
  return all.map((frame) =>
    Uint8Array.from({ length: frame.length + (frame.length % 2) }, (_, i) => frame[i] ?? 0),
  );
}

function expectFrames(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  expect(actual.map((frame) => Buffer.from(frame).toString('hex'))).toEqual(
    expected.map((frame) => Buffer.from(frame).toString('hex')),
  );
}

describe('frames', () => {
  for (const offsetTable of ['basic', 'empty', 'extended'] as const)
    for (const fragmentsPerFrame of [1, 3])
      test(`${offsetTable} offset table, ${fragmentsPerFrame} fragment(s) a frame`, async () => {
        expectFrames(await framesOf(slide({ offsetTable, fragmentsPerFrame })), padded(frames(6)));
      });

  test('fragments of odd length', async () => {
    expectFrames(await framesOf(slide({ padFragments: false })), frames(6));
  });

  test('a wrong offset table does not matter with one fragment per frame', async () => {
    const bytes = Buffer.from(slide({}));
    const table = bytes.indexOf(Buffer.from([0xe0, 0x7f, 0x10, 0x00])) + 20;
    bytes.writeUInt32LE(0x12345678, table + 4);
    expectFrames(await framesOf(bytes), padded(frames(6)));
  });

  test('uncompressed frames', async () => {
    const raw = frames(6).map((_, i) => new Uint8Array(8 * 8 * 3).fill(i + 1));
    const options = {
      frames: raw,
      transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
      photometricInterpretation: 'RGB',
    };
    expectFrames(await framesOf(slide(options)), raw);
  });

  test('uncompressed frames named YBR_FULL_422 have two or three samples a pixel, and none may be missing', async () => {
    const named = { transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN, photometricInterpretation: 'YBR_FULL_422' };
    for (const samples of [2, 3]) {
      const raw = frames(6).map((_, i) => new Uint8Array(8 * 8 * samples).fill(i + 1));
      expectFrames(await framesOf(slide({ ...named, frames: raw })), raw);
      const missing = { ...named, frames: raw.slice(0, 5), overrides: { NumberOfFrames: 6 } };
      expect(await failure(slide(missing))).toMatchObject({ code: 'FRAME_INVALID' });
    }
  });

  test('ambiguous fragments are refused', async () => {
    const unmarked = frames(6).map((frame) => frame.fill(1));
    expect(
      await failure(slide({ frames: unmarked, offsetTable: 'empty', fragmentsPerFrame: 2 })),
    ).toMatchObject({
      code: 'FRAME_INVALID',
    });
  });

  test('fewer fragments than frames, and frames out of range', async () => {
    expect(await failure(slide({ overrides: { NumberOfFrames: 7 } }))).toMatchObject({
      code: 'FRAME_INVALID',
    });
    expect(await failure(slide({ overrides: { NumberOfFrames: 2 ** 31 - 1 } }))).toMatchObject({
      code: 'FRAME_INVALID',
    });
    await using folder = await temporaryFolder();
    await using file = await openPart10(await folder.write('a.dcm', slide({})));
    await expect(file.frame(6)).rejects.toMatchObject({ code: 'FRAME_INVALID' });
  });
});

describe('header', () => {
  test('a header longer than the first read', async () => {
    await using folder = await temporaryFolder();
    const comment = 'x'.repeat(10_000);
    const overrides = {
      SpecimenDescriptionSequence: [],
      DerivationDescription: 'short',
      TextValue: comment.repeat(30),
    };
    const path = await folder.write('a.dcm', slide({ overrides }));
    await using file = await openPart10(path);
    expect(file.dataset.string('TextValue')).toHaveLength(300_000);
    expectFrames([await file.frame(0)], padded(frames(1)));
    await expect(openPart10(path, { maxHeaderBytes: 100_000 })).rejects.toMatchObject({
      code: 'DICOM_INVALID',
    });
  });

  test('big endian is refused by name', async () => {
    const bytes = slide({ frames: frames(6), transferSyntaxUid: '1.2.840.10008.1.2.2' });
    expect(await failure(bytes)).toMatchObject({ code: 'TRANSFER_SYNTAX_UNSUPPORTED' });
  });

  test('no DICOM at all', async () => {
    expect(await failure(Buffer.from('<html>'.repeat(100)))).toMatchObject({ code: 'DICOM_INVALID' });
    expect(await failure(new Uint8Array(0))).toMatchObject({ code: 'DICOM_INVALID' });
  });

  test('an aborted signal stops opening', async () => {
    await using folder = await temporaryFolder();
    const path = await folder.write('a.dcm', slide({}));
    await expect(openPart10(path, { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });
});

/** Item tag and length. */
const DELIMITER_BYTES = 8;

describe('damage', () => {
  test('a file that only lacks its sequence delimiter is read', async () => {
    const bytes = slide({ tiling: 'TILED_SPARSE' });
    expect(await failure(bytes.subarray(0, -DELIMITER_BYTES))).toBeUndefined();
  });

  test('a file truncated anywhere else is refused', async () => {
    const bytes = slide({ tiling: 'TILED_SPARSE' });
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), async (length) => {
        fc.pre(length !== bytes.length - DELIMITER_BYTES);
        const error = await failure(bytes.subarray(0, length));
        expect(error).toBeInstanceOf(StainError);
        expect(['DICOM_INVALID', 'FRAME_INVALID']).toContain((error as StainError).code);
      }),
      { numRuns: runs(150) },
    );
  });

  test('any changed byte gives a StainError or a readable file, never anything else', async () => {
    const bytes = slide({ tiling: 'TILED_SPARSE', offsetTable: 'extended', fragmentsPerFrame: 2 });
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, value) => {
        const damaged = Uint8Array.from(bytes);
        damaged[at] = value;
        const error = await failure(damaged);
        if (error !== undefined) expect(error).toBeInstanceOf(StainError);
      }),
      { numRuns: runs(300) },
    );
  });
});

describe('many frames, of which some are read', () => {
  const COUNT = 1200;
  const many = frames(COUNT, 10).map((frame) => frame.subarray(0, 10 + (frame.length % 37)));
  const large = (options: Partial<SlideInstanceOptions> = {}): Buffer =>
    Buffer.from(slide({ frames: many, totalColumns: 8 * COUNT, totalRows: 8, ...options }));

  for (const offsetTable of ['basic', 'extended', 'empty'] as const)
    for (const fragmentsPerFrame of [1, 3])
      for (const padFragments of [true, false])
        test(`${offsetTable} offset table, ${fragmentsPerFrame} fragment(s) a frame, padded: ${padFragments}`, async () => {
          const bytes = large({ offsetTable, fragmentsPerFrame, padFragments });
          expectFrames(await framesOf(bytes, true), padFragments ? padded(many) : many);
        });

  /** Where the values of the Basic Offset Table begin. */
  const tableOf = (bytes: Buffer): number => bytes.indexOf(Buffer.from([0xe0, 0x7f, 0x10, 0x00])) + 20;

  test.each([
    ['counts no item headers', (offset: number, frame: number) => offset - 8 * frame],
    ['begins elsewhere', (offset: number) => offset + 8],
    [
      'begins again after some frames',
      (offset: number, frame: number) => (frame < 700 ? offset : offset % 999),
    ],
    ['is wrong in one place', (offset: number, frame: number) => offset + (frame === 700 ? 2 : 0)],
    ['ends beyond the file', (offset: number, frame: number) => (frame < COUNT - 1 ? offset : 1e9)],
    ['has zeros only', () => 0],
  ])('an offset table that %s misleads nobody', async (_, wrong) => {
    const bytes = large();
    const at = tableOf(bytes);
    for (let frame = 0; frame < COUNT; frame++)
      bytes.writeUInt32LE(wrong(bytes.readUInt32LE(at + 4 * frame), frame), at + 4 * frame);
    expectFrames(await framesOf(bytes, true), padded(many));
    expectFrames(await framesOf(bytes), padded(many));
  });

  test('frameLength is the true size of a frame where the table is too short', async () => {
    const bytes = large();
    const at = tableOf(bytes);
    // A fragment of 2 bytes within the frame, and an entry that ends after it.
    const item = at + 4 * COUNT + bytes.readUInt32LE(at + 4 * 701);
    bytes.writeUInt32LE(bytes.readUInt32LE(at + 4 * 701) + 10, at + 4 * 702);
    await using folder = await temporaryFolder();
    await using file = await openPart10(await folder.write('slide.dcm', bytes), { isReadInPart: true });
    expect(await file.frameLength(701)).toBe(bytes.readUInt32LE(item + 4));
    expect(await file.frame(701)).toHaveLength(bytes.readUInt32LE(item + 4));
  });

  test('no table is read for more frames than any slide has', async () => {
    const file = { size: 1e10, read: vi.fn() } as unknown as FileWindow;
    const table = { offset: 1000, length: 4 * 5e6 };
    expect(await statedBorders(file, table, new DataSet(), 5e6, undefined)).toBeUndefined();
    expect(file.read).not.toHaveBeenCalled();
  });

  test('that are cut off are refused before any is read', async () => {
    const bytes = large();
    expect(await failure(bytes.subarray(0, bytes.length - 20), true)).toBeInstanceOf(StainError);
  });

  test('are read although one of them is damaged, and that one is refused', async () => {
    const bytes = large();
    const at = tableOf(bytes);
    const item = at + 4 * COUNT + bytes.readUInt32LE(at + 4 * 701);
    bytes.writeUInt32LE(0, item);
    await using folder = await temporaryFolder();
    await using file = await openPart10(await folder.write('slide.dcm', bytes), { isReadInPart: true });
    await expect(file.frame(701)).rejects.toMatchObject({ code: 'DICOM_INVALID' });
    expectFrames([await file.frame(700), await file.frame(702)], padded([many[700]!, many[702]!]));
  });
});

test('frames beyond 4 GiB are found', async () => {
  await using folder = await temporaryFolder();
  const path = folder.file('large.dcm');
  const bytes = Buffer.from(slide({ offsetTable: 'empty', frames: frames(3), totalRows: 8 }));
  const pixelData = bytes.indexOf(Buffer.from([0xe0, 0x7f, 0x10, 0x00]));
  const start = pixelData + 12 + 8;
  const large = 3 * 2 ** 30;
  const item = (length: number): Uint8Array => {
    const header = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
    header.writeUInt32LE(length, 4);
    return header;
  };
  // A sparse file: two fragments of 3 GiB of zeros take no space on disk.
  const file = await open(path, 'w');
  await file.write(bytes.subarray(0, start), 0, start, 0);
  await file.write(item(large), 0, 8, start);
  await file.write(item(large), 0, 8, start + 8 + large);
  const last = Buffer.concat([
    item(4),
    Buffer.from([1, 2, 3, 4]),
    Buffer.from([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]),
  ]);
  await file.write(last, 0, last.length, start + 2 * (8 + large));
  await file.close();
  await using opened = await openPart10(path);
  expect(await opened.frameLength(1)).toBe(large);
  expect(await opened.frame(2)).toEqual(Uint8Array.of(1, 2, 3, 4));
  await expect(opened.frame(0)).rejects.toMatchObject({ code: 'FRAME_INVALID' });
});
