import { describe, expect, test } from 'vitest';
import { isDescribedAsOurs } from '../../server/src/derived/derivation.ts';
import { type DerivationRecord, deriveLevel } from '../../server/src/derived/derived-series.ts';
import { derivedUids } from '../../server/src/derived/derived-uids.ts';
import {
  allowedHeaderDifferences,
  type DifferenceKind,
} from '../../server/src/derived/header-differences.ts';
import { processingTime } from '../../server/src/derived/processing-time.ts';
import { DataSet, type Element, isSequence } from '../../server/src/dicom/dataset.ts';
import { writeDataSet } from '../../server/src/dicom/dataset-writer.ts';
import { entryOfKeyword, isPrivate, keywordOf } from '../../server/src/dicom/dictionary.ts';
import { inputDeviceProfile } from '../../server/src/dicom/icc-class.ts';
import type { Level } from '../../server/src/slide/types.ts';
import { makeSlideHeader, type SlideInstanceOptions } from '../support/make-slide.ts';
import { levelOf, record } from './derive-for-tests.ts';

const frames = Array.from({ length: 4 }, () => new Uint8Array(10));

function source(options: Partial<SlideInstanceOptions> = {}): DataSet {
  return makeSlideHeader({ rows: 8, columns: 8, totalRows: 16, totalColumns: 16, frames, ...options });
}

function derive(
  sources: readonly DataSet[],
  changes: Partial<DerivationRecord> = {},
  role: Level['role'] = 'base',
  sourceIsLossy = false,
  builtFrom?: readonly DataSet[],
): DataSet {
  const derivation = record(changes);
  const sopInstanceUid = derivedUids(derivation.identity).instance('1.2.3');
  return deriveLevel({
    level: levelOf(sources, role),
    ...(builtFrom && { builtFrom: levelOf(builtFrom, 'base') }),
    derivation,
    instanceNumber: 1,
    sopInstanceUid,
    lossyRatio: derivation.encoding === 'jpeg' ? 7.68 : undefined,
    sourceIsLossy,
  });
}

/** All differences between two headers; items are compared one by one. */
function differences(before: DataSet, after: DataSet, inside = ''): { path: string; kind: DifferenceKind }[] {
  const tags = new Set([...before.elements, ...after.elements].map(({ tag }) => tag));
  return [...tags].flatMap((tag) => {
    const [a, b] = [before.element(tag), after.element(tag)];
    const path = isPrivate(tag) ? 'private' : inside + (keywordOf(tag) ?? tag);
    if (!a) return [{ path, kind: 'added' as const }];
    if (!b) return [{ path, kind: 'removed' as const }];
    if (isSequence(a) && isSequence(b) && a.items.length === b.items.length)
      return [...a.items].flatMap((item, i) => differences(item, b.items.at(i)!, `${path}.`));
    return same(a, b) ? [] : [{ path, kind: 'changed' as const }];
  });
}

function same(a: Element, b: Element): boolean {
  return !isSequence(a) && !isSequence(b) && a.vr === b.vr && Buffer.compare(a.bytes, b.bytes) === 0;
}

function isAllowed({ path, kind }: { path: string; kind: DifferenceKind }): boolean {
  return allowedHeaderDifferences.some(
    (allowed) =>
      (path === allowed.path && allowed.kinds.includes(kind)) ||
      // Sequences that may change as a whole.
      (path.startsWith(`${allowed.path}.`) && allowed.kinds.length === 2),
  );
}

/** A source with everything that may be changed or removed. */
function fullSource(options: Partial<SlideInstanceOptions> = {}): DataSet {
  const full = source({
    ...options,
    overrides: {
      SpecificCharacterSet: 'ISO_IR 100',
      InstanceCreatorUID: '1.2.3',
      StationName: 'scanner-1',
      DeviceUID: '1.2.4',
      GantryID: 'g',
      InstitutionName: 'Hospital',
      DateOfLastCalibration: '20200101',
      PerformedProcedureStepID: 'x',
      PerformedProcedureStepStartDate: '20200101',
      ReferencedPerformedProcedureStepSequence: [],
      IconImageSequence: [DataSet.of({ Rows: 1 })],
      SmallestImagePixelValue: 0,
      LargestImagePixelValue: 255,
      DigitalSignaturesSequence: [],
      AlternateRepresentationSequence: [],
      ImageComments: 'from the scanner',
      SeriesDescription: 'source',
      DerivationDescription: 'source',
      ReferencedSeriesSequence: [DataSet.of({ SeriesInstanceUID: '1.9', ReferencedInstanceSequence: [] })],
      ContributingEquipmentSequence: [],
    },
  });
  const raw = (tag: string, vr: string, text: string): Element => ({
    tag,
    vr,
    bytes: Buffer.from(text, 'latin1'),
  });
  return full.withElements([
    raw('00100010', 'PN', 'M\xfcller^J\xf6rg '),
    raw('00081030', 'LO', 'Gro\xdfe Studie'),
    raw('30210010', 'LO', 'SCANNER '),
    raw('30211001', 'LT', 'secret'),
  ]);
}

/** Attributes that the derived image has, whether the source has them or not. */
const REQUIRED = [
  'OpticalPathSequence',
  'SamplesPerPixel',
  'PlanarConfiguration',
  'HighBit',
  'PixelRepresentation',
  'LossyImageCompression',
  'BurnedInAnnotation',
  'TotalPixelMatrixFocalPlanes',
  'NumberOfOpticalPaths',
];

/** The source, with the groups that may be shared or per frame stated for every frame. */
function everythingPerFrame(before: DataSet): DataSet {
  const groups = before.items('PerFrameFunctionalGroupsSequence').map((group) =>
    group.with({
      WholeSlideMicroscopyImageFrameTypeSequence: [DataSet.of({ FrameType: ['ORIGINAL'] })],
      DerivationImageSequence: [DataSet.of({ DerivationDescription: 'source' })],
      OpticalPathIdentificationSequence: [DataSet.of({ OpticalPathIdentifier: '1' })],
    }),
  );
  return before.with({ PerFrameFunctionalGroupsSequence: groups });
}

/** The source, with an empty value for every top-level attribute of the list that it lacks. */
function everyListed(before: DataSet): DataSet {
  const missing = allowedHeaderDifferences
    .map(({ path }) => path)
    .filter((path) => path !== 'private' && !path.includes('.') && !before.has(path));
  return before.withElements(
    missing.map((path): Element => {
      const { tag, vr } = entryOfKeyword(path);
      return vr === 'SQ' ? { tag, vr, items: [] } : { tag, vr, bytes: new Uint8Array() };
    }),
  );
}

describe('header differences', () => {
  for (const tiling of ['TILED_FULL', 'TILED_SPARSE', 'none'] as const)
    for (const encoding of ['jpeg', 'htj2k', 'jpeg2000'] as const)
      test(`${tiling}, ${encoding}: only what is allowed`, () => {
        const before = fullSource({ tiling });
        const found = differences(before, derive([before], { encoding }));
        expect(found.filter((difference) => !isAllowed(difference))).toEqual([]);
        expect(found.map(({ path }) => path)).toContain('OpticalPathSequence.OpticalPathIdentifier');
      });

  test('every change on the list occurs: the list is no longer than necessary', () => {
    const part = (number: number): DataSet =>
      source({
        tiling: 'TILED_SPARSE',
        concatenation: { number, total: 2, frameOffset: 4 * (number - 1) },
        overrides: { SOPInstanceUID: `1.2.${number}`, InstanceNumber: 7 },
      });
    const sources = [
      [fullSource({ tiling: 'TILED_FULL' })],
      [fullSource({ tiling: 'TILED_SPARSE' })],
      [part(1), part(2)],
      [source({ remove: REQUIRED })],
      [everyListed(source())],
      [everythingPerFrame(source({ tiling: 'TILED_SPARSE' }))],
    ];
    const found = sources.flatMap((parts) =>
      (['jpeg', 'htj2k'] as const).flatMap((encoding) => differences(parts[0]!, derive(parts, { encoding }))),
    );
    const happens = (path: string): boolean =>
      found.some((difference) => difference.path === path || difference.path.startsWith(`${path}.`));
    expect(allowedHeaderDifferences.map(({ path }) => path).filter((path) => !happens(path))).toEqual([]);
  });

  test('patient and study are copied byte for byte, in their own character set', () => {
    const before = fullSource();
    const after = derive([before]);
    const study = before.elements.filter(
      ({ tag }) => tag.startsWith('0010') || ['00080005', '00081030'].includes(tag),
    );
    expect(study.length).toBeGreaterThan(5);
    for (const element of study) expect(after.element(element.tag)).toEqual(element);
  });

  test('the same input gives the same bytes', () => {
    expect(writeDataSet(derive([fullSource()]))).toEqual(writeDataSet(derive([fullSource()])));
  });
});

describe('what is written', () => {
  test('image type by role, in the functional groups too', () => {
    const types = { base: 'VOLUME\\NONE', level: 'VOLUME\\RESAMPLED', thumbnail: 'THUMBNAIL\\RESAMPLED' };
    for (const role of ['base', 'level', 'thumbnail'] as const) {
      const after = derive([source()], {}, role, false, role === 'base' ? undefined : [source()]);
      expect(after.strings('ImageType').join('\\')).toBe(`DERIVED\\PRIMARY\\${types[role]}`);
      const frameType = after
        .items('SharedFunctionalGroupsSequence')[0]!
        .items('WholeSlideMicroscopyImageFrameTypeSequence');
      expect(frameType[0]!.strings('FrameType')).toEqual(after.strings('ImageType'));
    }
  });

  test('derivation: codes in order, source image, references', () => {
    const before = source();
    const after = derive([before], {}, 'level', false, [before]);
    const codes = after.items('DerivationCodeSequence').map((item) => item.string('CodeValue'));
    expect(codes).toEqual(['STAINNORM', '113085', '113040']);
    expect(derive([before], { encoding: 'htj2k' }).items('DerivationCodeSequence')).toHaveLength(1);
    const image = after.items('SourceImageSequence')[0]!;
    expect(image.string('ReferencedSOPInstanceUID')).toBe(before.string('SOPInstanceUID'));
    expect(image.string('SpatialLocationsPreserved')).toBe('YES');
    const series = after.items('ReferencedSeriesSequence')[0]!;
    expect(series.string('SeriesInstanceUID')).toBe(before.string('SeriesInstanceUID'));
    expect(after.items('RelatedSeriesSequence')[0]!.string('StudyInstanceUID')).toBe(
      before.string('StudyInstanceUID'),
    );
    expect(after.string('DerivationDescription')).toMatch(
      /SHA-256 (ab){32}.*breast-he.*quality 90.*NOT FOR PRIMARY DIAGNOSIS/,
    );
  });

  test('a mapped level is not described as resampled by us', () => {
    const before = source().with({ ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'RESAMPLED'] });
    const after = derive([before], {}, 'level');
    expect(after.strings('ImageType')[3]).toBe('RESAMPLED');
    expect(
      derive([before.with({ ImageType: ['ORIGINAL', 'PRIMARY', 'VOLUME', 'NONE'] })], {}, 'level').strings(
        'ImageType',
      )[3],
    ).toBe('NONE');
    const codes = after.items('DerivationCodeSequence').map((item) => item.string('CodeValue'));
    expect(codes).toEqual(['STAINNORM', '113040']);
  });

  test('a built level names the base level as the source of its pixels', () => {
    const base = source().with({ SOPInstanceUID: '1.2.3.4.5' });
    const after = derive([source()], {}, 'level', false, [base]);
    expect(after.items('SourceImageSequence').map((item) => item.string('ReferencedSOPInstanceUID'))).toEqual(
      ['1.2.3.4.5'],
    );
    const series = after.items('ReferencedSeriesSequence')[0]!;
    expect(
      series.items('ReferencedInstanceSequence').map((item) => item.string('ReferencedSOPInstanceUID')),
    ).toContain('1.2.3.4.5');
  });

  test('a level built from a level with lossy compression says so, whatever its own source says', () => {
    const lossless = source({
      transferSyntaxUid: '1.2.840.10008.1.2.1',
      photometricInterpretation: 'RGB',
    });
    expect(lossless.string('LossyImageCompression')).toBe('00');
    const after = derive([lossless], { encoding: 'htj2k' }, 'level', false, [source()]);
    expect(after.string('LossyImageCompression')).toBe('01');
    expect(after.strings('LossyImageCompressionMethod')).toEqual(
      source().strings('LossyImageCompressionMethod'),
    );
  });

  test('the scanner becomes a contributor, and so does a processor after it', () => {
    const once = derive([fullSource()]);
    const [scanner] = once.items('ContributingEquipmentSequence');
    expect(scanner!.string('Manufacturer')).toBe('Test Manufacturer');
    expect(scanner!.string('StationName')).toBe('scanner-1');
    expect(scanner!.items('PurposeOfReferenceCodeSequence')[0]!.string('CodeValue')).toBe('109101');
    expect(once.string('Manufacturer')).not.toBe('Test Manufacturer');
    expect(once.has('StationName')).toBe(false);
    const twice = derive([once]).items('ContributingEquipmentSequence');
    expect(twice.map((item) => item.items('PurposeOfReferenceCodeSequence')[0]!.string('CodeValue'))).toEqual(
      ['109101', '109102'],
    );
  });

  test('optical path identifiers change wherever they are referenced, and have at most 16 characters', () => {
    const long = 'ABCDEFGHIJKLMNOP';
    const path = DataSet.of({ OpticalPathIdentifier: long });
    const group = DataSet.of({ OpticalPathIdentificationSequence: [path] });
    const before = source({
      tiling: 'TILED_SPARSE',
      overrides: {
        OpticalPathSequence: [path],
        PerFrameFunctionalGroupsSequence: [group, group, group, group],
      },
    });
    const after = derive([before]);
    const series = record().identity.seriesUuid.slice(0, 4);
    const optical = after.items('OpticalPathSequence')[0]!;
    expect(optical.string('OpticalPathIdentifier')).toBe(`ABCDEFGHI-SN${series}`);
    expect(optical.bytes('ICCProfile')).toEqual(record().iccProfile);
    expect(
      after
        .items('SharedFunctionalGroupsSequence')[0]!
        .items('OpticalPathIdentificationSequence')[0]!
        .string('OpticalPathIdentifier'),
    ).toBe(`1-SN${series}`);
    for (const frame of after.items('PerFrameFunctionalGroupsSequence'))
      expect(frame.items('OpticalPathIdentificationSequence')[0]!.string('OpticalPathIdentifier')).toBe(
        `ABCDEFGHI-SN${series}`,
      );
  });

  test('lossy compression is a history of equal counts that never goes back', () => {
    const lossy = derive([source()]);
    expect(lossy.strings('LossyImageCompressionRatio')).toHaveLength(2);
    expect(lossy.strings('LossyImageCompressionRatio')[1]).toBe('7.68');
    expect(lossy.strings('LossyImageCompressionMethod')).toEqual(['ISO_10918_1', 'ISO_10918_1']);
    expect(derive([source()], { encoding: 'htj2k' }).string('LossyImageCompression')).toBe('01');
    const uneven = source({ remove: ['LossyImageCompressionMethod'] });
    expect(derive([uneven]).strings('LossyImageCompressionRatio')).toHaveLength(1);
    const raw = source({
      overrides: { LossyImageCompression: '00' },
      remove: ['LossyImageCompressionRatio', 'LossyImageCompressionMethod'],
    });
    expect(derive([raw], { encoding: 'jpeg2000' }).string('LossyImageCompression')).toBe('00');
    expect(derive([raw]).string('LossyImageCompression')).toBe('01');
    // The attribute is wrong, the transfer syntax is right.
    expect(derive([raw], { encoding: 'jpeg2000' }, 'base', true).string('LossyImageCompression')).toBe('01');
  });

  test('photometric interpretation by encoding', () => {
    expect(derive([source()]).string('PhotometricInterpretation')).toBe('YBR_FULL_422');
    expect(derive([source()], { encoding: 'htj2k' }).string('PhotometricInterpretation')).toBe('YBR_RCT');
  });

  test('samples are unsigned and fill their byte, whatever the source says or omits', () => {
    for (const wrong of [
      source({ overrides: { HighBit: 0, PixelRepresentation: 1 } }),
      source({ remove: ['HighBit', 'PixelRepresentation'] }),
    ]) {
      const after = derive([wrong]);
      const values = ['BitsAllocated', 'BitsStored', 'HighBit', 'PixelRepresentation'].map((keyword) =>
        after.number(keyword),
      );
      expect(values).toEqual([8, 8, 7, 0]);
    }
  });

  test('parts of a concatenation become one instance with all frames', () => {
    const part = (number: number): DataSet =>
      source({
        tiling: 'TILED_SPARSE',
        concatenation: { number, total: 2, frameOffset: 4 * (number - 1) },
        totalRows: 32,
      });
    const after = derive([part(1), part(2)]);
    expect(after.number('NumberOfFrames')).toBe(8);
    expect(after.items('PerFrameFunctionalGroupsSequence')).toHaveLength(8);
    expect(after.has('ConcatenationUID')).toBe(false);
    expect(after.items('SourceImageSequence')).toHaveLength(2);
  });

  test('parts of one frame each may have its position in their shared groups', () => {
    const part = (number: number): DataSet => {
      const one = source({
        tiling: 'TILED_SPARSE',
        frames: [new Uint8Array(10)],
        positions: [{ x: 8 * (number - 1), y: 0 }],
        concatenation: { number, total: 2, frameOffset: number - 1 },
      });
      const [frame] = one.items('PerFrameFunctionalGroupsSequence');
      const [shared] = one.items('SharedFunctionalGroupsSequence');
      const position = frame!.items('PlanePositionSlideSequence');
      return one.without('PerFrameFunctionalGroupsSequence').with({
        SharedFunctionalGroupsSequence: [
          (shared ?? new DataSet()).with({ PlanePositionSlideSequence: position }),
        ],
      });
    };
    const after = derive([part(1), part(2)]);
    const columns = after
      .items('PerFrameFunctionalGroupsSequence')
      .map((frame) =>
        frame.items('PlanePositionSlideSequence')[0]?.number('ColumnPositionInTotalImagePixelMatrix'),
      );
    expect(columns).toEqual([1, 9]);
    expect(after.items('SharedFunctionalGroupsSequence')[0]!.has('PlanePositionSlideSequence')).toBe(false);
  });

  test('a ratio of lossy compression that is too long is kept as it is stored', () => {
    const element = { tag: '00282112', vr: 'DS', bytes: Buffer.from('10.123456789012345 ') };
    const lossy = source({
      overrides: { LossyImageCompression: '01', LossyImageCompressionMethod: 'ISO_10918_1' },
    });
    const built = lossy.withElements([element]);
    const after = derive([source()], { encoding: 'htj2k' }, 'level', true, [built]);
    expect(Buffer.from(after.bytes('LossyImageCompressionRatio')!).toString()).toBe('10.123456789012345 ');
  });

  test('attributes that TILED_FULL needs are added', () => {
    const after = derive([source({ remove: ['TotalPixelMatrixFocalPlanes', 'NumberOfOpticalPaths'] })]);
    expect([after.number('TotalPixelMatrixFocalPlanes'), after.number('NumberOfOpticalPaths')]).toEqual([
      1, 1,
    ]);
  });

  test('a warning about text in the pixels is never withdrawn', () => {
    expect(derive([source({ overrides: { BurnedInAnnotation: 'YES' } })]).string('BurnedInAnnotation')).toBe(
      'YES',
    );
  });

  test('our private block replaces those of the scanner', () => {
    const after = derive([fullSource()]);
    expect(after.has('30210010')).toBe(false);
    expect(after.string('34010010')).toBe('STAIN NORMALIZATION');
    expect(after.numbers('34011004')).toEqual([1.5, 0.2, -0.1, 0.7, -0.3, 0.4]);
    expect(JSON.parse(after.string('3401100A')!)).toEqual({ note: 'Grüße' });
  });

  test('the derivation description names the transfer', () => {
    const linear = derive([fullSource()]);
    expect(linear.string('DerivationDescription')).toContain('Transfer: linear map of optical density.');
    expect(linear.string('3401100D')).toBe('linear map of optical density');
    const paper = derive([fullSource()], { transfer: 'paper' });
    expect(paper.string('DerivationDescription')).toContain('Transfer: class by class, as published.');
    expect(paper.string('3401100D')).toBe('class by class, as published');
  });

  test('descriptions have at most their maximum length', () => {
    const after = derive([source()], {
      template: { id: 'x'.repeat(63), sha256: 'f'.repeat(64), classes: [] },
      model: { name: 'm'.repeat(80), version: '1'.repeat(80), sha256: 'ab'.repeat(32) },
      colourPolicy: 'ü'.repeat(2000),
      identity: { ...record().identity, revision: 199, supersedes: '2.25.'.padEnd(64, '7') },
    });
    expect(after.string('SeriesDescription')!.length).toBeLessThanOrEqual(64);
    expect(after.string('DerivationDescription')!.length).toBeLessThanOrEqual(1024);
  });
});

test('dates follow the time zone of the source', () => {
  expect(processingTime('2026-03-04T23:30:00+01:00', undefined)).toEqual({
    date: '20260304',
    time: '233000',
  });
  expect(processingTime('2026-03-04T23:30:00+01:00', '+0330')).toEqual({ date: '20260305', time: '020000' });
  expect(processingTime('2026-03-04T23:30:00Z', '-0500')).toEqual({ date: '20260304', time: '183000' });
  expect(() => processingTime('2026-03-04', undefined)).toThrow(/offset/);
});

test('UIDs depend on series and source only, and differ from each other', () => {
  const uids = derivedUids({ seriesUuid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301' });
  const all = [uids.series, uids.pyramid, uids.instance('1.2.1'), uids.instance('1.2.2')];
  expect(new Set(all).size).toBe(4);
  expect(derivedUids({ seriesUuid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301' }).series).toBe(uids.series);
  for (const uid of all) expect(uid).toMatch(/^2\.25\.[1-9]\d{0,38}$/);
});

test('an ICC profile becomes one of an input device, without a profile ID', () => {
  const profile = Buffer.alloc(200, 7);
  profile.write('mntr', 12, 'latin1');
  profile.write('acsp', 36, 'latin1');
  const changed = Buffer.from(inputDeviceProfile(profile));
  expect(changed.toString('latin1', 12, 16)).toBe('scnr');
  expect(changed.subarray(84, 100)).toEqual(Buffer.alloc(16));
  const others = [...changed.keys()].filter((at) => changed[at] !== profile[at]);
  expect(others.every((at) => (at >= 12 && at < 16) || (at >= 84 && at < 100))).toBe(true);
  expect(() => inputDeviceProfile(Buffer.alloc(20))).toThrow(/not an ICC profile/);
});

test('a series description distinguishes variants within 64 characters', () => {
  const long = 'laboratory-of-the-university-hospital-template-';
  const variants: Partial<DerivationRecord>[] = [
    {},
    { quality: 80 },
    { transfer: 'paper' },
    { encoding: 'htj2k' },
    { encoding: 'jpeg2000' },
    { model: { ...record().model, name: 'reference' } },
    { model: { ...record().model, version: '1.2.4' } },
    { identity: { ...record().identity, revision: 2 } },
    { template: { ...record().template, id: `${long}one` } },
    { template: { ...record().template, id: `${long}two` } },
    { slide: 'S26-(1)-A1' },
    { slide: 'S26-(1)-A2' },
    {
      slide: `${long}A1`,
      template: { ...record().template, id: `${long}two` },
      model: { ...record().model, name: 'a-long-name-of-a-model', version: '10.200.3000' },
      encoding: 'jpeg',
      quality: 100,
      identity: { ...record().identity, revision: 199 },
    },
  ];
  const descriptions = variants.map((variant) => derive([source()], variant).string('SeriesDescription')!);
  expect(new Set(descriptions).size).toBe(variants.length);
  for (const description of descriptions) {
    expect(description.length).toBeLessThanOrEqual(64);
    expect(description).toMatch(/^Normalized [^()]+ \([^()]+\) RUO$/);
  }
  expect(descriptions[0]).toBe('Normalized breast-he (dcgmm 1.2.3, linear, JPEG 90) RUO');
});

test('the series description shortens the name of a model before those of template and slide', () => {
  const description = (changes: Partial<DerivationRecord>) =>
    derive([source()], changes).string('SeriesDescription');
  const model = { ...record().model, name: 'reference' };
  const template = { ...record().template, id: 'he-pink-violet' };
  expect(description({ template, model })).toBe(
    'Normalized he-pink-violet (reference 1.2.3, linear, JPEG 90) RUO',
  );
  const identity = { ...record().identity, revision: 12 };
  expect(description({ template, model, identity, slide: 'S26-A1' })).toBe(
    'Normalized he~et (refer~.2.3, linear, JPEG 90, S2~1, rev 12) RUO',
  );
});

test.each([
  ['as it is written', 'Normalized he-violet (fast 0.3.1, linear, JPEG 90) RUO', true],
  ['written before it named a transfer', 'Normalized he-violet (fast 0.3.1, JPEG 90) RUO', true],
  ['that an archive does not return', undefined, true],
  ['of another product', 'HE', false],
])('a description %s is known', (_what, description, isOurs) => {
  expect(isDescribedAsOurs(description)).toBe(isOurs);
});

test('a series that replaces another names it, and the source still comes last', () => {
  const identity = { ...record().identity, revision: 2, supersedes: '2.25.7' };
  const derived = derive([source()], { identity });
  const related = derived
    .items('RelatedSeriesSequence')
    .map((item) => [
      item.string('SeriesInstanceUID'),
      item.items('PurposeOfReferenceCodeSequence')[0]?.string('CodeValue'),
    ]);
  expect(related.at(-2)).toEqual(['2.25.7', 'SUPERSEDED']);
  expect(related.at(-1)).toEqual([source().string('SeriesInstanceUID'), '121323']);
  expect(derived.string('DerivationDescription')).toContain('Revision 2, replaces series 2.25.7.');
});
