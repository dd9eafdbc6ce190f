/** Limits on the contents of headers and pixel data: small files must not take much memory or time. */
import { open } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { readDataSet } from '../../server/src/dicom/dataset-reader.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { makeSlideInstance } from '../support/make-slide.ts';
import { temporaryFolder } from './temporary-folder.ts';

const invalid = expect.objectContaining({ code: 'DICOM_INVALID' });

function read(bytes: Uint8Array): DataSet {
  return readDataSet(bytes, { start: 0, explicitVr: true, total: bytes.length, until: 'FFFFFFFF' }).dataSet;
}

const little = (value: number): number[] =>
  [value, value >> 8, value >> 16, value >> 24].map((b) => b & 0xff);
const ITEM = [0xfe, 0xff, 0x00, 0xe0];

function sequence(content: Uint8Array): Buffer {
  const head = [0x40, 0x00, 0x75, 0x02, 0x53, 0x51, 0, 0, ...little(content.length)];
  return Buffer.concat([Buffer.from(head), content]);
}

describe('a header', () => {
  const nested = (depth: number): Uint8Array => {
    let bytes: Uint8Array = Buffer.alloc(0);
    for (let i = 0; i < depth; i++)
      bytes = sequence(Buffer.concat([Buffer.from([...ITEM, ...little(bytes.length)]), bytes]));
    return bytes;
  };

  it('may nest 32 sequences, and no more', () => {
    expect(read(nested(32)).has('00400275')).toBe(true);
    expect(() => read(nested(33))).toThrow(invalid);
  });

  it('may not contain more than 10 million items, although each has only eight bytes', () => {
    const items = Buffer.alloc(8 * 10_000_001, Buffer.from([...ITEM, 0, 0, 0, 0]));
    expect(() => read(sequence(items))).toThrow(/more than 10000000 elements/);
  });

  it('may not contain an element with more than a million values', () => {
    const text = (vr: string, bytes: Uint8Array): DataSet => new DataSet([{ tag: '00280008', vr, bytes }]);
    expect(text('UC', Buffer.alloc(999_999, '\\')).strings('NumberOfFrames')).toHaveLength(1_000_000);
    expect(() => text('UC', Buffer.alloc(1_000_000, '\\')).string('NumberOfFrames')).toThrow(invalid);
    expect(() => text('US', Buffer.alloc(2_000_002)).number('NumberOfFrames')).toThrow(invalid);
  });

  it('may contain a value of millions of blanks, which takes no time', { timeout: 5000 }, () => {
    const bytes = Buffer.alloc(4_000_000, ' ');
    bytes.write('x', 2_000_000);
    expect(new DataSet([{ tag: '00080018', vr: 'UT', bytes }]).string('SOPInstanceUID')).toBe('x');
  });
});

describe('pixel data', () => {
  const END = Uint8Array.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0);
  const slide = (frames: number, changes = {}): Buffer =>
    Buffer.from(
      makeSlideInstance({
        rows: 8,
        columns: 8,
        totalRows: 8,
        totalColumns: 8 * frames,
        frames: Array.from({ length: frames }, () => Uint8Array.of(0xff, 0xd8, 1, 2)),
        offsetTable: 'empty',
        ...changes,
      }),
    );

  it('may not have more than 4 million fragments, even if they are empty', async () => {
    await using folder = await temporaryFolder();
    const whole = slide(1);
    const fragments = Buffer.alloc(8 * 4_000_001, Buffer.from([...ITEM, 0, 0, 0, 0]));
    const bytes = Buffer.concat([whole.subarray(0, -8), fragments, END]);
    await expect(openPart10(await folder.write('a.dcm', bytes))).rejects.toThrow(invalid);
  });

  it('are one frame of many fragments, in order', async () => {
    await using folder = await temporaryFolder();
    const parts = Array.from({ length: 5000 }, (_, i) =>
      Buffer.from([...ITEM, ...little(2), i & 0xff, i >> 8]),
    );
    const bytes = Buffer.concat([slide(1).subarray(0, -8), ...parts, END]);
    await using file = await openPart10(await folder.write('a.dcm', bytes));
    const frame = await file.frame(0);
    expect(frame.subarray(0, 4)).toEqual(Uint8Array.of(0xff, 0xd8, 1, 2));
    expect(new Uint16Array(frame.slice(4).buffer)).toEqual(Uint16Array.from(parts.keys()));
  });

  it('may have an offset table of any length: one without an entry for each frame is not read', async () => {
    await using folder = await temporaryFolder();
    const whole = slide(2, {
      fragmentsPerFrame: 2,
      frames: [0, 1].map(() => Uint8Array.of(0xff, 0xd8, 1, 2)),
    });
    const table = whole.lastIndexOf(Buffer.from([0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff])) + 8;
    const path = folder.file('a.dcm');
    // Sparse: a table of 4 GiB takes no space on disk, but would take all the memory.
    const length = 0xfffffff0;
    const file = await open(path, 'w');
    await file.write(whole.subarray(0, table), 0, table, 0);
    await file.write(Buffer.from([...ITEM, ...little(length)]), 0, 8, table);
    await file.write(whole.subarray(table + 8), 0, whole.length - table - 8, table + 8 + length);
    await file.close();
    await using opened = await openPart10(path);
    expect(await opened.frame(1)).toEqual(Uint8Array.of(0xff, 0xd8, 1, 2));
  });
});
