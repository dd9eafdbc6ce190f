/** Source attributes that cannot be written again: the result is stored nevertheless, or refused before any work. */
import { describe, expect, it } from 'vitest';
import { deriveLevel } from '../../server/src/derived/derived-series.ts';
import { DataSet, type Element } from '../../server/src/dicom/dataset.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import { levelOf, record } from '../derived/derive-for-tests.ts';
import { makeSlideHeader } from '../support/make-slide.ts';

const options = { instanceNumber: 1, sopInstanceUid: '2.25.1', lossyRatio: 10, sourceIsLossy: true };

function header(...elements: readonly Element[]): DataSet {
  const frames = [new Uint8Array(2)];
  return makeSlideHeader({ rows: 8, columns: 8, totalRows: 8, totalColumns: 8, frames }).withElements(
    elements,
  );
}

const element = (tag: string, vr: string, text: string): Element => ({
  tag,
  vr,
  bytes: Buffer.from(text, 'latin1'),
});

describe('a source', () => {
  it.each([
    ['no digits', '1.2.é'],
    ['too long', `1.${'2'.repeat(64)}`],
    ['empty', ''],
  ])('whose UID is %s is refused', (_what, uid) => {
    for (const tag of ['00080018', '0020000D', '0020000E'])
      expect(() => describeSlide([header(element(tag, 'UI', uid))], { maxSlideMegapixels: 1 })).toThrow(
        expect.objectContaining({ code: 'DICOM_INVALID' }),
      );
  });

  it('keeps as much of its compression history as a header may hold, ratio with method', () => {
    const source = header(
      element('00282112', 'DS', '10\\20.123456789012345678\\30\\40'),
      element('00282114', 'CS', 'ISO_10918_1\\ISO_10918_1\\ISO_\xff\\ISO_15444_1'),
    );
    const derived = deriveLevel({ level: levelOf([source]), derivation: record(), ...options });
    expect(derived.strings('LossyImageCompressionRatio').slice(0, -1)).toEqual(['10', '40']);
    expect(derived.strings('LossyImageCompressionMethod')).toEqual([
      'ISO_10918_1',
      'ISO_15444_1',
      'ISO_10918_1',
    ]);
  });

  it('may name its optical path in any character set', () => {
    const path = new DataSet([element('00480106', 'SH', 'H\xe4m')]);
    const source = header({ tag: '00480105', vr: 'SQ', items: [path] });
    const derived = deriveLevel({ level: levelOf([source]), derivation: record(), ...options });
    expect(derived.items('OpticalPathSequence')[0]!.string('OpticalPathIdentifier')).toBe('H?m-SN3f25');
  });
});
