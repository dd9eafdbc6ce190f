/** Metadata that are not what PS3.18 annex F says: an error of the table, never a TypeError or a wrong value. */
import { describe, expect, it } from 'vitest';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import type { DicomJsonDataSet } from '../../server/src/dicom/dicom-json.ts';
import { itemsOf } from '../../server/src/dicomweb/dicom-json.ts';

const read = (json: unknown): DataSet => DataSet.fromDicomJson(json as DicomJsonDataSet);
/** An object that cannot be made text or a number. */
const OBJECT = { toString: null, valueOf: 1 };

describe('DICOM JSON', () => {
  it.each([
    ['a value that is an object', { '00280010': { vr: 'US', Value: [OBJECT] } }],
    ['a value that is a list', { '00280010': { vr: 'US', Value: [[]] } }],
    ['a value that is a truth', { '00280010': { vr: 'US', Value: [true] } }],
    ['a tag that is none', { '00209165': { vr: 'AT', Value: ['nonsense'] } }],
    ['binary data that are no text', { '00282000': { vr: 'OB', InlineBinary: OBJECT } }],
    ['sequences 33 deep', nested(33)],
  ])('refuses %s', (_what, json) => {
    expect(() => read(json)).toThrow(expect.objectContaining({ code: 'DICOM_INVALID' }));
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

  it('has no items where a sequence is no list', () => {
    for (const Value of ['text', 1, {}, null])
      expect(itemsOf({ '00081199': { vr: 'SQ', Value } } as never, '00081199')).toEqual([]);
  });
});

function nested(depth: number): unknown {
  let json: unknown = {};
  for (let i = 0; i < depth; i++) json = { '00400275': { vr: 'SQ', Value: [json] } };
  return json;
}
