/** Metadata parsed as a stream give the same data sets as metadata parsed as a whole. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LazyList } from '../../core/src/lazy-list.ts';
import { dataSetFromJson } from '../../server/src/dicom/from-json.ts';
import { MAX_IN_MEMORY } from '../../server/src/dicom/items.ts';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import { StreamedDataSets } from '../../server/src/dicomweb/parse-json.ts';
import { runs } from '../support/property-runs.ts';

const PER_FRAME = '52009230';

function read(text: string, chunkBytes = 1000): DicomJson[] {
  const bytes = Buffer.from(text);
  const dataSets = new StreamedDataSets();
  for (let at = 0; at < bytes.length; at += chunkBytes) dataSets.write(bytes.subarray(at, at + chunkBytes));
  return dataSets.end();
}

/** Including the values of long lists. */
function plain(dataSets: readonly DicomJson[]): unknown {
  return JSON.parse(JSON.stringify(dataSets, (_, value) => (value instanceof LazyList ? [...value] : value)));
}

const item = (i: number): unknown => ({
  '00209111': { vr: 'SQ', Value: [{ '00209157': { vr: 'UL', Value: [i, 1] }, '00080018': { vr: 'UI' } }] },
  '00104000': { vr: 'LT', Value: ['a, "b" [{\\', 'ü'] },
});
const items = (count: number): unknown[] => Array.from({ length: count }, (_, i) => item(i));
const malformed = expect.objectContaining({ code: 'ARCHIVE_PROTOCOL' });

describe('metadata', () => {
  const long = { vr: 'SQ', Value: items(3 * MAX_IN_MEMORY) };
  const text = JSON.stringify([
    { '00080005': { vr: 'CS', Value: ['ISO_IR 192'] }, '00283010': { vr: 'OB', BulkDataURI: 'a,[{' } },
    { [PER_FRAME]: long, '7FE00010': { vr: 'OB', BulkDataURI: 'b' } },
    { [PER_FRAME]: { vr: 'SQ', Value: items(MAX_IN_MEMORY) } },
  ]);

  it('are the same in chunks of any size, with a long sequence kept as text', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.boolean(), (chunkBytes, isPretty) => {
        const dataSets = read(isPretty ? JSON.stringify(JSON.parse(text), null, 1) : text, chunkBytes);
        expect(dataSets[1]![PER_FRAME]!.Value).toBeInstanceOf(LazyList);
        expect(dataSets[2]![PER_FRAME]!.Value).toBeInstanceOf(Array);
        expect(plain(dataSets)).toEqual(JSON.parse(text));
      }),
      { numRuns: runs(30), examples: [[1, false]] },
    );
  });

  it('become the same data set', () => {
    const frames = dataSetFromJson(read(text)[1]!).sequence(PER_FRAME);
    const whole = dataSetFromJson((JSON.parse(text) as DicomJson[])[1]!).items(PER_FRAME);
    expect(frames).toBeInstanceOf(LazyList);
    expect(frames).toHaveLength(whole.length);
    for (const [i, frame] of [...frames].entries())
      expect(frame.items('00209111')[0]!.numbers('00209157')).toEqual([i, 1]);
  });

  it('may have long lists outside sequences', () => {
    const numbers = Array.from({ length: 1000 }, (_, i) => i);
    const [dataSet] = read(
      JSON.stringify([{ '00080008': { vr: 'US', Value: numbers, Other: items(1000) } }]),
    );
    expect(dataSetFromJson(dataSet!).numbers('00080008')).toEqual(numbers);
  });

  it.each([
    ['a tag', (value: string) => `{"${PER_FRAME}":${value},"${PER_FRAME}":{"vr":"SQ","Value":[]}}`],
    [
      'a list',
      (value: string) =>
        `{"${PER_FRAME}":{"vr":"SQ","Value":${JSON.stringify(JSON.parse(value).Value)},"Value":[]}}`,
    ],
    [
      'a tag, written otherwise',
      (value: string) => `{"${PER_FRAME}":${value},"\\u0035${PER_FRAME.slice(1)}":{"vr":"SQ"}}`,
    ],
  ])('use the second value if %s occurs twice', (_, write) => {
    const twice = `[${write(JSON.stringify(long))}]`;
    expect(plain(read(twice))).toEqual(JSON.parse(twice));
  });

  it('are refused if they are malformed, even in an item of a long sequence', () => {
    for (const broken of [text.slice(0, -1), text.slice(0, text.length / 2), `${text}]`, '{}', '[1]'])
      expect(() => read(broken)).toThrow(malformed);
    const last = items(3 * MAX_IN_MEMORY).map((one) => JSON.stringify(one));
    for (const odd of ['', '{', '{]', 'x', '{} {}', '"']) {
      const value = `[{"${PER_FRAME}":{"vr":"SQ","Value":[${[...last, odd].join(',')}]}}]`;
      expect(() => read(value).map((json) => dataSetFromJson(json))).toThrow(malformed);
    }
  });

  it('are refused if an item of a long sequence is not a data set', () => {
    const value = JSON.stringify([{ [PER_FRAME]: { vr: 'SQ', Value: [...items(3 * MAX_IN_MEMORY), 1] } }]);
    expect(() => dataSetFromJson(read(value)[0]!)).toThrow(
      expect.objectContaining({ code: 'DICOM_INVALID' }),
    );
  });
});
