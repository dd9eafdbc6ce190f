/** What a derived series is, from its header alone, however much of it an archive returns. */
import { expect, test } from 'vitest';
import { derivationOf } from '../../extension/src/ohif/derivation.ts';
import type { NaturalizedInstance } from '../../extension/src/ohif/types.ts';

/** As the service writes it, and as OHIF stores it. */
const WHOLE: NaturalizedInstance = {
  ManufacturerModelName: 'stain-normalization',
  SeriesDescription: 'Normalized he-magenta (fast 0.3.0, linear, HTJ2K) RUO',
  DerivationDescription:
    'Stain normalization (DCGMM): model fast 0.3.0, SHA-256 ab12; template he-magenta. Transfer: linear map of optical density. Colours kept. Encoded as HTJ2K lossless.',
  DerivationCodeSequence: [{ CodeValue: 'STAINNORM', CodingSchemeDesignator: '99STAINNORM' }],
  RelatedSeriesSequence: [{ SeriesInstanceUID: '1.2.older' }, { SeriesInstanceUID: '1.2.source' }],
  '34010010': 'STAIN NORMALIZATION',
  '34011002': '0.3.0',
  '34011003': 'he-magenta',
  '3401100B': 'fast',
  '3401100D': 'linear map of optical density',
};

function without(...names: string[]): NaturalizedInstance {
  return Object.fromEntries(Object.entries(WHOLE).filter(([name]) => !names.includes(name)));
}

const PRIVATE = ['34010010', '34011002', '34011003', '3401100B', '3401100D'];
const FACTS = {
  sourceSeriesInstanceUid: '1.2.source',
  template: 'he-magenta',
  model: 'fast 0.3.0',
  transfer: 'linear map of optical density',
};

test('the private block identifies the series', () => {
  const others = { SeriesDescription: 'changed', DerivationDescription: 'changed, template none' };
  expect(derivationOf([{ ...WHOLE, ...others }])).toMatchObject(FACTS);
});

test('in a block of another number, with values in lists', () => {
  const moved = {
    ...without(...PRIVATE),
    '34010010': ['ANOTHER PRODUCT'],
    '34011003': 'not a template',
    '34010011': ['STAIN NORMALIZATION '],
    '34011102': ['0.3.0'],
    '34011103': ['he-violet'],
    '3401110b': { vr: 'LO', Value: ['fast'] },
    '3401110d': ['linear map of optical density'],
  };
  expect(derivationOf([moved])).toMatchObject({ ...FACTS, template: 'he-violet' });
});

test('the full record has the quality of the fit, the notes and the rest', () => {
  const written = {
    identity: { createdAt: '2026-11-26T10:00:00+00:00', revision: 1 },
    request: { encoding: 'jpeg', quality: 90 },
    facts: {
      executionProvider: 'CPUExecutionProvider',
      fit: { sampledTiles: 29, tissueFraction: 0.36, outOfDistribution: { verdict: 'he', score: 0.1 } },
    },
    notes: ['Pale.'],
  };
  const recorded = (record: unknown) => {
    const instance = { ...WHOLE, '34011001': 'ab12', '3401100C': 'cd34', '3401100A': JSON.stringify(record) };
    return derivationOf([instance, instance])!;
  };
  expect(recorded(written)).toMatchObject({
    modelHash: 'ab12',
    templateHash: 'cd34',
    record: {
      madeAt: '2026-11-26T10:00:00+00:00',
      encoding: 'jpeg',
      quality: 90,
      executionProvider: 'CPUExecutionProvider',
      fit: { sampledTiles: 29, tissueFraction: 0.36, verdict: 'he' },
      notes: ['Pale.'],
    },
  });
  // Written by another version, or incomplete.
  const { fit: _, ...facts } = written.facts;
  expect(recorded({ ...written, facts, notes: undefined }).record).toMatchObject({ fit: null, notes: [] });
  expect(recorded({ ...written, request: { encoding: 'htj2k', quality: 90 } }).record?.quality).toBeNull();
  for (const nothing of [null, 1, 'no', []]) expect(recorded(nothing).record?.fit ?? null).toBeNull();
  expect(derivationOf([{ ...WHOLE, '3401100A': '{"cut off' }])!.record).toBeNull();
});

test('without private attributes the description identifies it', () => {
  expect(derivationOf([without(...PRIVATE, 'SeriesDescription')])).toMatchObject(FACTS);
});

test.each([
  ['template he-magenta, SHA-256 0123abcd. More.', 'he-magenta'],
  ['template he-magenta (SHA-256 0123abcd).', 'he-magenta'],
  ['template "lab.2", more', 'lab.2'],
  ['no word of it', null],
])('"%s" names %s', (description, template) => {
  const derived = {
    ...without(...PRIVATE, 'SeriesDescription'),
    DerivationDescription: `Stain normalization (DCGMM): ${description}`,
  };
  expect(derivationOf([derived])?.template).toBe(template);
});

test('the series description is used if nothing else is left, unless it may be truncated', () => {
  const left = without(
    ...PRIVATE,
    'DerivationDescription',
    'ManufacturerModelName',
    'DerivationCodeSequence',
  );
  expect(derivationOf([left])).toMatchObject({ ...FACTS, model: null, transfer: null });
  const described = (text: string) => derivationOf([{ ...left, SeriesDescription: text }]);
  expect(described('Normalized a-very-lo~name (fast 0.3.0, JPEG 90, rev 2) RUO')).toMatchObject({
    template: null,
  });
  expect(described('Stain normalized to he-violet (0.3.0) RUO')).toMatchObject({ template: 'he-violet' });
  const long = `Stain normalized to ${'a'.repeat(44)}`;
  expect(long).toHaveLength(64);
  expect(described(long)).toMatchObject({ template: null });
});

test('a series of a version that named no transfer has none', () => {
  const older = {
    ...without('3401100D'),
    SeriesDescription: 'Normalized he-magenta (fast 0.3.0, HTJ2K) RUO',
    DerivationDescription:
      'Stain normalization (DCGMM): model fast 0.3.0; template he-magenta. Colours kept.',
  };
  expect(derivationOf([older])).toMatchObject({ ...FACTS, transfer: null });
  expect(derivationOf([{ SeriesDescription: older.SeriesDescription }])).toMatchObject({
    template: 'he-magenta',
  });
});

test('a description that others may have written is not a mark of ours', () => {
  for (const SeriesDescription of ['Normalized', 'Normalized counts (v2)', 'Normalized H&E RUO'])
    expect(derivationOf([{ SeriesDescription }])).toBeNull();
});

test.each([
  ['the manufacturer’s model', 'ManufacturerModelName'],
  ['the derivation code', 'DerivationCodeSequence'],
  ['the private creator', '34010010'],
  ['the derivation description', 'DerivationDescription'],
  ['the series description', 'SeriesDescription'],
])('%s alone shows that it is not an original', (_what, kept) => {
  expect(derivationOf([{ [kept]: WHOLE[kept] }])).toMatchObject({ sourceSeriesInstanceUid: null });
});

test('a series without any sign is unknown, and so is one whose levels disagree', () => {
  expect(derivationOf([{ ManufacturerModelName: 'stain-normalization' }])).toEqual({
    sourceSeriesInstanceUid: null,
    template: null,
    model: null,
    transfer: null,
    modelHash: null,
    templateHash: null,
    description: '',
    record: null,
  });
  expect(derivationOf([WHOLE, { ...WHOLE, '34011003': 'he-violet' }])).toMatchObject({
    ...FACTS,
    template: null,
  });
});

test('a sequence of one item is that item', () => {
  const { sourceSeriesInstanceUid } = derivationOf([
    { ...WHOLE, RelatedSeriesSequence: { SeriesInstanceUID: '1.2.source' } },
  ])!;
  expect(sourceSeriesInstanceUid).toBe('1.2.source');
});

test("a scanner's slide is an original", () => {
  const slide = {
    ManufacturerModelName: 'Scanner',
    SeriesDescription: 'HE',
    DerivationDescription: 'resampled',
  };
  expect(derivationOf([slide, {}])).toBeNull();
  expect(derivationOf([])).toBeNull();
});
