/** Metadata that violate PS3.18 annex F give an error of the table, never a TypeError or a wrong value. */

import { describe, expect, it } from 'vitest';
import { LazyList } from '../../core/src/lazy-list.ts';
import type { DataSet } from '../../server/src/dicom/dataset.ts';
import { dataSetFromJson } from '../../server/src/dicom/from-json.ts';
import { type DicomJson, itemsOf, textOf } from '../../server/src/dicom/json-model.ts';

const read = (json: unknown): DataSet => dataSetFromJson(json as DicomJson);
/** An object that cannot be converted to text or a number. */
const OBJECT = { toString: null, valueOf: 1 };

describe('DICOM JSON', () => {
  it.each([
    ['a value that is an object', { '00280010': { vr: 'US', Value: [OBJECT] } }],
    ['a value that is a list', { '00280010': { vr: 'US', Value: [[]] } }],
    ['a boolean value', { '00280010': { vr: 'US', Value: [true] } }],
    ['a malformed tag', { '00209165': { vr: 'AT', Value: ['nonsense'] } }],
    ['binary data that are not text', { '00282000': { vr: 'OB', InlineBinary: OBJECT } }],
    ['sequences 33 deep', nested(33)],
  ])('refuses %s', (_what, json) => {
    expect(() => read(json)).toThrow(expect.objectContaining({ code: 'DICOM_INVALID' }));
  });

  it('reads numbers that are none, which scanners write', () => {
    const values = {
      '00480001': { vr: 'FL', Value: ['NaN'] },
      '00211001': { vr: 'FD', Value: ['-Infinity', 1] },
    };
    const dataset = read(values);
    expect([dataset.numbers('ImagedVolumeWidth'), dataset.numbers('00211001')]).toEqual([
      [Number.NaN],
      [Number.NEGATIVE_INFINITY, 1],
    ]);
    expect(() => read({ '00480001': { vr: 'FL', Value: ['none'] } })).toThrow(/not a valid FL/);
  });

  it('reads sequences 32 deep', () => {
    expect(read(nested(32)).has('00400275')).toBe(true);
  });

  it('reads the groups of a name that are text', () => {
    const named = (Value: unknown): string | undefined =>
      read({ '00100010': { vr: 'PN', Value: [Value] } }).string('PatientName');
    expect(named({ Alphabetic: 'A', Phonetic: 'P' })).toBe('A==P');
    expect(named({ Alphabetic: 'A', Ideographic: OBJECT, Phonetic: null })).toBe('A');
  });

  it('returns the first of very many values without creating the others', () => {
    const Value = new LazyList(1000, (index) => {
      if (index > 0) throw new Error('Nobody wants this value.');
      return 'first';
    });
    expect(textOf({ '00080008': { Value } }, '00080008')).toBe('first');
  });

  it('has no items if a sequence is not a list', () => {
    for (const Value of ['text', 1, {}, null])
      expect(itemsOf({ '00081199': { vr: 'SQ', Value } } as never, '00081199')).toEqual([]);
  });
});

function nested(depth: number): unknown {
  let json: unknown = {};
  for (let i = 0; i < depth; i++) json = { '00400275': { vr: 'SQ', Value: [json] } };
  return json;
}
