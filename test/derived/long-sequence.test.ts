/** Sequences with more items than are kept in memory give the same as short ones, however they are encoded and used. */
import { describe, expect, it } from 'vitest';
import { LazyList } from '../../core/src/lazy-list.ts';
import { derivedFunctionalGroups } from '../../server/src/derived/functional-groups.ts';
import { withoutSourceOnly } from '../../server/src/derived/not-copied.ts';
import { DataSet, type Items } from '../../server/src/dicom/dataset.ts';
import { readDataSet } from '../../server/src/dicom/dataset-reader.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { joinItems, MAX_IN_MEMORY } from '../../server/src/dicom/items.ts';
import { dicomJsonPieces, toDicomJson } from '../../server/src/dicom/to-json.ts';

const MANY = 3 * MAX_IN_MEMORY;

function frame(i: number): DataSet {
  const changes = { OpticalPathIdentifier: `path ${i % 3}` };
  return DataSet.of({
    FrameContentSequence: [DataSet.of({ DimensionIndexValues: [i + 1, 1] })],
    ...(i % 2 === 0 && { OpticalPathIdentificationSequence: [DataSet.of(changes)] }),
    ...(i % 5 === 0 && { WholeSlideMicroscopyImageFrameTypeSequence: [DataSet.of({ FrameType: 'X' })] }),
    ...(i % 7 === 0 && { DerivationImageSequence: [DataSet.of({ DerivationDescription: 'earlier' })] }),
  }).withElements(i % 4 === 0 ? [{ tag: '00091001', vr: 'LO', bytes: Buffer.from('mine') }] : []);
}

const header = (count: number): DataSet =>
  DataSet.of({ PerFrameFunctionalGroupsSequence: Array.from({ length: count }, (_, i) => frame(i)) });

const read = (bytes: Uint8Array): DataSet =>
  readDataSet(bytes, { start: 0, explicitVr: true, total: bytes.length, until: 'FFFFFFFF' }).dataSet;

const groupsOf = (dataSet: DataSet): Items => dataSet.sequence('PerFrameFunctionalGroupsSequence');
const bytesOf = (items: Items): Buffer[] => Array.from(items, (item) => Buffer.from(writeDataSet(item)));

describe('a sequence of many items', () => {
  const short = header(MAX_IN_MEMORY);
  const listed = header(MANY);
  const long = read(writeDataSet(listed));

  it('keeps its encoded form', () => {
    expect(groupsOf(read(writeDataSet(short)))).toBeInstanceOf(Array);
    expect(groupsOf(long)).toBeInstanceOf(LazyList);
    expect(bytesOf(groupsOf(long))).toEqual(bytesOf(groupsOf(listed)));
    expect(groupsOf(long).at(MANY)).toBeUndefined();
  });

  it('is converted to the same bytes and the same JSON', () => {
    expect(Buffer.from(writeDataSet(long)).equals(writeDataSet(listed))).toBe(true);
    expect([...dicomJsonPieces(long)].join('')).toBe(JSON.stringify(toDicomJson(listed)));
  });

  it('is created once to be measured and once to be written, however deeply it is nested', () => {
    let made = 0;
    const count = (): DataSet => {
      made++;
      return DataSet.of({ Rows: made });
    };
    const nested = (depth: number, items: Items): DataSet =>
      depth === 0
        ? DataSet.of({ PerFrameFunctionalGroupsSequence: items })
        : DataSet.of({ PerFrameFunctionalGroupsSequence: [nested(depth - 1, items)] });
    writeDataSet(nested(10, new LazyList(MANY, count)));
    expect(made).toBe(2 * MANY);
  });

  it('loses what is not copied', () => {
    const bytes = writeDataSet(withoutSourceOnly(listed));
    expect(bytes.length).toBeLessThan(writeDataSet(listed).length);
    expect(Buffer.from(writeDataSet(withoutSourceOnly(long))).equals(bytes)).toBe(true);
  });

  it('has the same derived groups, those of a concatenation in sequence', () => {
    const derived = (...sources: DataSet[]): Buffer => {
      const image = DataSet.of({ DerivationDescription: 'now' });
      const series = { seriesUuid: 'abcd0000-0000-4000-8000-000000000000' };
      return Buffer.from(writeDataSet(DataSet.of(derivedFunctionalGroups(sources, ['D'], image, series))));
    };
    expect(derived(long).equals(derived(listed))).toBe(true);
    expect(derived(short, long, long).equals(derived(short, listed, listed))).toBe(true);
    const all = [...groupsOf(short), ...groupsOf(listed), ...groupsOf(short)];
    const joined = joinItems([groupsOf(short), [], groupsOf(long), groupsOf(short)]);
    expect(bytesOf(joined)).toEqual(bytesOf(all));
  });

  it('is read again with the character set of its data set', () => {
    const name = { tag: '00100010', vr: 'PN', bytes: Buffer.from('Müller', 'latin1') };
    const items = Array.from({ length: MANY }, () => new DataSet([name]));
    const bytes = writeDataSet(
      DataSet.of({ SpecificCharacterSet: 'ISO_IR 100', PerFrameFunctionalGroupsSequence: items }),
    );
    expect(
      groupsOf(read(bytes))
        .at(MANY - 1)!
        .string('PatientName'),
    ).toBe('Müller');
  });

  it('is refused if one of its items is damaged', () => {
    const bytes = writeDataSet(listed);
    // The length of the last element, before its value of eight bytes.
    bytes.set([0xff, 0xff], bytes.length - 10);
    expect(() => read(bytes)).toThrow(expect.objectContaining({ code: 'DICOM_INVALID' }));
  });
});
