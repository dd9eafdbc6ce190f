import dicomParser from 'dicom-parser';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DataSet, type Element, isSequence } from '../../server/src/dicom/dataset.ts';
import { readDataSet } from '../../server/src/dicom/dataset-reader.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { dataSetFromJson } from '../../server/src/dicom/from-json.ts';

/** Tags, VRs and bytes, for comparing data sets. */
function plain(dataSet: DataSet): unknown {
  return dataSet.elements.map((element) =>
    isSequence(element)
      ? [element.tag, 'SQ', [...element.items].map(plain)]
      : [element.tag, element.vr, Buffer.from(element.bytes).toString('hex')],
  );
}

function read(bytes: Uint8Array, explicitVr = true): DataSet {
  return readDataSet(bytes, { start: 0, explicitVr, total: bytes.length, until: 'FFFFFFFF' }).dataSet;
}

const evenBytes = fc.uint8Array({ maxLength: 20 }).map((bytes) => bytes.subarray(0, bytes.length & ~1));
/** Elements in the dictionary, so that implicit VR gives the same VRs again. */
const KNOWN = [
  ...[
    ['00080060', 'CS'],
    ['00080070', 'LO'],
    ['00100010', 'PN'],
    ['0020000D', 'UI'],
    ['00280010', 'US'],
  ],
  ...[
    ['0040A160', 'UT'],
    ['00480001', 'FL'],
    ['00282000', 'OB'],
  ],
] as const;
const SEQUENCES = ['00081115', '00400560', '52009229'] as const;

const { dataSet: dataSets } = fc.letrec<{ dataSet: DataSet; elements: Element[] }>((tie) => ({
  elements: fc
    .tuple(
      fc.uniqueArray(fc.constantFrom(...KNOWN), { selector: ([tag]) => tag }),
      fc.uniqueArray(fc.constantFrom(...SEQUENCES)),
      fc.array(evenBytes, { minLength: KNOWN.length, maxLength: KNOWN.length }),
      fc.array(fc.array(tie('dataSet'), { maxLength: 3 }), { minLength: 3, maxLength: 3 }),
    )
    .map(([values, sequences, bytes, items]): Element[] => [
      ...values.map(([tag, vr], i): Element => ({ tag: tag!, vr: vr!, bytes: bytes[i]! })),
      ...sequences.map((tag, i): Element => ({ tag, vr: 'SQ', items: items[i]! })),
    ]),
  dataSet: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    fc.constant(new DataSet()),
    tie('elements').map((elements) => new DataSet(elements)),
  ),
}));

/** A second writer: implicit VR or explicit, lengths defined or undefined. */
function otherWriter(dataSet: DataSet, explicitVr: boolean, undefinedLength: boolean): Buffer {
  const tagBytes = (tag: string): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16), 0);
    bytes.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2);
    return bytes;
  };
  const uint32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
  };
  const wrap = (start: Buffer, content: Buffer, end: string): Buffer =>
    undefinedLength
      ? Buffer.concat([start, uint32(0xffffffff), content, tagBytes(end), uint32(0)])
      : Buffer.concat([start, uint32(content.length), content]);
  return Buffer.concat(
    dataSet.elements.map((element) => {
      const start = tagBytes(element.tag);
      if (isSequence(element)) {
        const items = [...element.items].map((item) =>
          wrap(tagBytes('FFFEE000'), otherWriter(item, explicitVr, undefinedLength), 'FFFEE00D'),
        );
        const header = explicitVr ? Buffer.concat([start, Buffer.from('SQ\0\0')]) : start;
        return wrap(header, Buffer.concat(items), 'FFFEE0DD');
      }
      const { vr, bytes } = element;
      if (!explicitVr) return Buffer.concat([start, uint32(bytes.length), bytes]);
      if (vr === 'UT' || vr === 'OB')
        return Buffer.concat([start, Buffer.from(`${vr}\0\0`), uint32(bytes.length), bytes]);
      return Buffer.concat([start, Buffer.from(vr), uint32(bytes.length).subarray(0, 2), bytes]);
    }),
  );
}

describe('reading and writing', () => {
  test('a written data set is read back unchanged', () => {
    fc.assert(
      fc.property(dataSets, (dataSet) => {
        expect(plain(read(writeDataSet(dataSet)))).toEqual(plain(dataSet));
      }),
    );
  });

  test('implicit and explicit VR, defined and undefined lengths are read the same', () => {
    fc.assert(
      fc.property(dataSets, fc.boolean(), fc.boolean(), (dataSet, explicitVr, undefinedLength) => {
        expect(plain(read(otherWriter(dataSet, explicitVr, undefinedLength), explicitVr))).toEqual(
          plain(dataSet),
        );
      }),
    );
  });

  test('dicom-parser reads the same values', () => {
    fc.assert(
      fc.property(dataSets, (dataSet) => {
        fc.pre(dataSet.elements.length > 0); // dicom-parser does not accept an empty data set.
        const bytes = writeDataSet(dataSet);
        const stream = new dicomParser.ByteStream(dicomParser.littleEndianByteArrayParser, bytes, 0);
        const other = { elements: {} as dicomParser.DataSet['elements'], byteArray: bytes, warnings: [] };
        dicomParser.parseDicomDataSetExplicit(other as never, stream, bytes.length);
        for (const element of dataSet.elements) {
          const found = other.elements[`x${element.tag.toLowerCase()}`];
          if (isSequence(element)) expect(found?.items ?? []).toHaveLength(element.items.length);
          else
            expect(bytes.subarray(found!.dataOffset, found!.dataOffset + found!.length)).toEqual(
              element.bytes,
            );
        }
      }),
    );
  });

  test('an unknown implicit element is UN, a private creator LO, UN of undefined length a sequence', () => {
    const bytes = Buffer.from('0900 1000 02000000 4142 0900 0110 02000000 0102'.replaceAll(' ', ''), 'hex');
    expect(read(bytes, false).elements.map(({ tag, vr }) => [tag, vr])).toEqual([
      ['00090010', 'LO'],
      ['00091001', 'UN'],
    ]);
    const sequence = Buffer.from(
      '09000110 554e0000 ffffffff feff00e0 0a000000 10001000 02000000 4142 feffdde0 00000000'.replaceAll(
        ' ',
        '',
      ),
      'hex',
    );
    expect(read(sequence).items('00091001')[0]!.string('PatientName')).toBe('AB');
  });

  test('an encapsulated icon is passed over, wherever it is', () => {
    const icon = '08001511 53510000 ffffffff feff00e0 ffffffff 28001000 55530200 4000';
    const pixels =
      'e07f1000 4f420000 ffffffff feff00e0 00000000 feff00e0 04000000 ffd8ffd9 feffdde0 00000000';
    const end = 'feff0de0 00000000 feffdde0 00000000 20001300 49530200 3120';
    const bytes = Buffer.from(`${icon} ${pixels} ${end}`.replaceAll(' ', ''), 'hex');
    const dataSet = read(bytes);
    expect(dataSet.items('ReferencedSeriesSequence')[0]!.elements.map(({ tag }) => tag)).toEqual([
      '00280010',
    ]);
    expect(dataSet.number('InstanceNumber')).toBe(1);
    const cut = bytes.subarray(0, bytes.indexOf(Buffer.from('feffdde000000000feff0de0', 'hex')));
    expect(() => read(cut)).toThrow();
  });

  test('UN is read as what the dictionary says: sequences in implicit VR, and values that fit', () => {
    const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
    const sequence = hex('08001511 554e0000 12000000 feff00e0 0a000000 10001000 02000000 4142');
    expect(read(sequence).items('ReferencedSeriesSequence')[0]!.string('PatientName')).toBe('AB');
    const noSequence = hex('08001511 554e0000 04000000 01020304');
    expect(read(noSequence).elements).toMatchObject([{ tag: '00081115', vr: 'UN' }]);
    expect(read(hex('28001000 554e0000 02000000 0001')).number('Rows')).toBe(256);
    const long = Buffer.concat([hex('08006000 554e0000 00000100'), Buffer.alloc(0x10000, 0x20)]);
    expect(read(long).elements).toMatchObject([{ tag: '00080060', vr: 'UN' }]);
  });

  test('an item longer than its sequence, tags out of order and endless nesting are refused', () => {
    const tooLong = Buffer.from('08001511 53510000 08000000 feff00e0 ff000000'.replaceAll(' ', ''), 'hex');
    expect(() => read(tooLong)).toThrow(expect.objectContaining({ code: 'DICOM_INVALID' }));
    const unordered = Buffer.from(
      '100010005a5a0000 080060005a5a0000'.replaceAll(' ', '').replaceAll('5a5a', '5348'),
      'hex',
    );
    expect(() => read(unordered)).toThrow(/follows/);
    const open = Buffer.from('08001511 53510000 ffffffff feff00e0 ffffffff'.replaceAll(' ', ''), 'hex');
    expect(() => read(Buffer.concat(Array.from({ length: 1000 }, () => open)))).toThrow(/nested/);
  });
});

describe('values', () => {
  const dataSet = DataSet.of({
    ImageType: ['DERIVED', 'PRIMARY'],
    SOPInstanceUID: '1.2.3',
    NumberOfFrames: 12,
    Rows: 256,
    ImagedVolumeWidth: 1.5,
    PixelSpacing: [0.25, 0.5],
    AccessionNumber: '',
    DimensionIndexPointer: '0048021F',
    ReferencedSeriesSequence: [DataSet.of({ SeriesInstanceUID: '1.2' })],
  });

  test('are read as they were set', () => {
    expect(dataSet.strings('ImageType')).toEqual(['DERIVED', 'PRIMARY']);
    expect(dataSet.number('NumberOfFrames')).toBe(12);
    expect(dataSet.number('Rows')).toBe(256);
    expect(dataSet.numbers('PixelSpacing')).toEqual([0.25, 0.5]);
    expect(dataSet.number('ImagedVolumeWidth')).toBe(1.5);
    expect(dataSet.string('DimensionIndexPointer')).toBe('0048021F');
    expect(dataSet.items('ReferencedSeriesSequence')[0]!.string('0020000E')).toBe('1.2');
    expect(dataSet.has('AccessionNumber')).toBe(true);
    expect(dataSet.string('AccessionNumber')).toBeUndefined();
    expect(dataSet.strings('PatientName')).toEqual([]);
    expect(dataSet.number('PatientName')).toBeUndefined();
  });

  test('are padded by VR: UI by NUL, text by space', () => {
    expect(dataSet.bytes('SOPInstanceUID')).toEqual(new TextEncoder().encode('1.2.3\0'));
    expect(DataSet.of({ Modality: 'ABC' }).bytes('Modality')).toEqual(new TextEncoder().encode('ABC '));
  });

  test('with and without leave the original unchanged', () => {
    const changed = dataSet.with({ Rows: 1 }).without('ImageType');
    expect([changed.number('Rows'), changed.has('ImageType')]).toEqual([1, false]);
    expect([dataSet.number('Rows'), dataSet.has('ImageType')]).toEqual([256, true]);
  });

  test('text is read in the character set of the data set, also within items', () => {
    const name: Element = { tag: '00100010', vr: 'PN', bytes: Buffer.from('Müller', 'latin1') };
    const latin = DataSet.of({ SpecificCharacterSet: 'ISO_IR 100' }).withElements([name]);
    expect(latin.string('PatientName')).toBe('Müller');
    const utf8 = DataSet.of({ SpecificCharacterSet: 'ISO_IR 192' }).withElements([
      { tag: '00081115', vr: 'SQ', items: [new DataSet([{ ...name, bytes: Buffer.from('Müller') }])] },
    ]);
    expect(read(writeDataSet(utf8)).items('ReferencedSeriesSequence')[0]!.string('PatientName')).toBe(
      'Müller',
    );
  });

  // PS3.5 annexes H to K.
  test.each([
    ['\\ISO 2022 IR 87', 'Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B', 'Yamada^Tarou=山田^太郎'],
    [
      'ISO 2022 IR 13\\ISO 2022 IR 87',
      '\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J',
      'ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎',
    ],
    ['ISO_IR 13', '\xd4\xcf\xc0\xde^\xc0\xdb\xb3', 'ﾔﾏﾀﾞ^ﾀﾛｳ'],
    ['\\ISO 2022 IR 149', 'Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7', 'Hong^Gildong=洪^吉洞'],
    ['\\ISO 2022 IR 58', 'Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab', 'Zhang^XiaoDong=张^小东'],
    ['ISO 2022 IR 100\\ISO 2022 IR 144', 'M\xfcller^\x1b-L\xbb\xee\xda', 'Müller^Люк'],
    ['GB18030', 'Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab', 'Wang^XiaoDong=王^小东'],
    ['ISO_IR 166', '\xa1\xd2', 'กา'],
  ])('names in %s', (terms, stored, name) => {
    const dataSet = DataSet.of({ SpecificCharacterSet: terms.split('\\') }).withElements([
      { tag: '00100010', vr: 'PN', bytes: Buffer.from(stored, 'latin1') },
      { tag: '00080060', vr: 'CS', bytes: Buffer.from('SM') },
    ]);
    expect(read(writeDataSet(dataSet)).string('PatientName')).toBe(name);
  });

  test.each(['ISO 2022 IR 87', '\\ISO 2022 IR 87'])(
    '%s: long text is not decoded piece by piece',
    (terms) => {
      const text = '\x1b$B;3\x1b(B'.repeat(10_000);
      const dataSet = DataSet.of({ SpecificCharacterSet: terms.split('\\') }).withElements([
        { tag: '00204000', vr: 'LT', bytes: Buffer.from(text, 'latin1') },
      ]);
      expect(dataSet.string('ImageComments')).toBe(text);
    },
  );

  test('text in no known character set is read as Latin-1', () => {
    for (const terms of ['ISO_IR 999', 'ISO 2022 IR 6\\nonsense', '']) {
      const dataSet = DataSet.of({ SpecificCharacterSet: terms.split('\\') }).withElements([
        { tag: '00100010', vr: 'PN', bytes: Buffer.from('M\xfcller\x1b$Z', 'latin1') },
      ]);
      expect(dataSet.string('PatientName')).toBe('Müller\x1b$Z');
    }
  });

  test('values of ours that are too long or not ASCII are faults', () => {
    expect(() => DataSet.of({ Modality: 'x'.repeat(17) })).toThrow(/too long/);
    expect(() => DataSet.of({ Manufacturer: 'ä' })).toThrow(/ASCII/);
    expect(() => DataSet.of({ NoSuchKeyword: 'x' })).toThrow(/keyword/);
  });
});

describe('DICOM JSON', () => {
  test('gives the same values as the file', () => {
    const dataSet = dataSetFromJson({
      '00080008': { vr: 'CS', Value: ['DERIVED', 'PRIMARY'] },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Müller^A', Ideographic: '' }] },
      '00280008': { vr: 'IS', Value: [12] },
      '00280010': { vr: 'US', Value: [256] },
      '00282000': { vr: 'OB', InlineBinary: 'AQID' },
      '00081115': { vr: 'SQ', Value: [{ '0020000E': { vr: 'UI', Value: ['1.2'] } }] },
      '00080050': { vr: 'SH' },
    });
    expect(dataSet.strings('ImageType')).toEqual(['DERIVED', 'PRIMARY']);
    expect(dataSet.string('PatientName')).toBe('Müller^A');
    expect(dataSet.number('NumberOfFrames')).toBe(12);
    expect(dataSet.number('Rows')).toBe(256);
    expect(dataSet.bytes('ICCProfile')).toEqual(Uint8Array.of(1, 2, 3, 0));
    expect(dataSet.items('ReferencedSeriesSequence')[0]!.string('SeriesInstanceUID')).toBe('1.2');
    expect(dataSet.has('AccessionNumber')).toBe(true);
  });

  test('anything else is DICOM_INVALID or a data set', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom('00280010', '00081115', 'x', '00080008'),
          fc.jsonValue() as fc.Arbitrary<never>,
        ),
        (json) => {
          try {
            dataSetFromJson(json).strings('Rows');
          } catch (error) {
            expect(error).toMatchObject({ code: 'DICOM_INVALID' });
          }
        },
      ),
    );
    expect(() => dataSetFromJson({ '00280010': { vr: 'US', Value: ['x'] } })).toThrow(/00280010/);
  });
});
