/** Annotations as a structured report: what it refers to, and that it is read as it was written. */
import { describe, expect, test } from 'vitest';
import type { Annotation } from '../../extension/src/annotations/annotation.ts';
import { makeReport, type ReportContents, readReport } from '../../extension/src/annotations/report.ts';
import type { NaturalizedInstance } from '../../extension/src/ohif/types.ts';

const SOURCE: NaturalizedInstance = {
  SOPClassUID: '1.2.840.10008.5.1.4.1.1.77.1.6',
  SOPInstanceUID: '1.2.3',
  SeriesInstanceUID: '1.2.2',
  StudyInstanceUID: '1.2.1',
  FrameOfReferenceUID: '1.2.9',
  StudyTime: '101112',
  PatientID: 'P-1',
  PatientName: [{ Alphabetic: 'Muster^Max' }],
  StudyDate: '20261126',
};
const LONG =
  'A label that is longer than the sixteen characters of a code, and than the sixty-four of its meaning';
const annotation = (uid: string, more: Partial<Annotation> = {}): Annotation => ({
  uid,
  graphicType: 'POLYGON',
  points: [
    [1, 2.5, 0],
    [3, 4, 0],
    [5, 2, 0],
    [1, 2.5, 0],
  ],
  label: 'Mitose, größer',
  shown: 'Normalised, Template Cool violet, Linear, series 2',
  ...more,
});
const contents = (more: Partial<ReportContents> = {}): ReportContents => ({
  annotations: [annotation('2.25.1')],
  areWithdrawn: false,
  source: SOURCE,
  replaced: [],
  seriesNumber: 7,
  seriesDescription: 'Annotations',
  language: 'de',
  observer: undefined,
  now: new Date(2026, 10, 26, 9, 5, 7),
  ...more,
});

/** As an archive gives it back. */
const stored = (report: NaturalizedInstance): NaturalizedInstance => structuredClone(report);

describe('a report', () => {
  test.each<readonly [string, Partial<Annotation>]>([
    ['a polygon', {}],
    ['a point', { graphicType: 'POINT', points: [[1, 2, 0]] }],
    ['a line without a label', { graphicType: 'POLYLINE', label: '' }],
    ['a circle with a long label', { graphicType: 'ELLIPSE', label: LONG }],
    ['one that is called as those that are withdrawn', { label: 'WITHDRAWN' }],
  ])('is read as it was written: %s', (_name, more) => {
    const annotations = [annotation('2.25.1', more), annotation('2.25.2')];
    const report = stored(makeReport(contents({ annotations })));
    expect(readReport(report, SOURCE)).toEqual({
      seriesInstanceUid: report['SeriesInstanceUID'],
      sopInstanceUid: report['SOPInstanceUID'],
      at: '20261126 090507',
      replaced: [],
      annotations,
    });
  });

  test('belongs to the patient and the study of the source, in a series of its own', () => {
    const [first, second] = [stored(makeReport(contents())), stored(makeReport(contents()))];
    expect(first).toMatchObject({
      StudyInstanceUID: '1.2.1',
      PatientID: 'P-1',
      Modality: 'SR',
      SeriesNumber: 7,
    });
    expect(first['PatientName']).toEqual([{ Alphabetic: 'Muster^Max' }]);
    expect([first['ContentDate'], first['ContentTime']]).toEqual(['20261126', '090507']);
    const uids = [first, second].flatMap((one) => [one['SeriesInstanceUID'], one['SOPInstanceUID']]);
    expect(new Set(uids).size).toBe(4);
    for (const uid of uids) expect(uid).toMatch(/^2\.25\.[1-9]\d{0,38}$/);
  });

  test('has codes of the lengths that codes may have', () => {
    const words = JSON.stringify(
      makeReport(contents({ annotations: [annotation('2.25.1', { label: `Größer \\ ${LONG}` })] })),
    );
    const [finding] = /"CodeValue":"Grö[^}]*/.exec(words)!;
    expect(finding).toBe(
      '"CodeValue":"Größer   A lab","CodingSchemeDesignator":"99STAINNORM",' +
        '"CodeMeaning":"Größer   A label that is longer than the sixteen characters of"',
    );
  });

  test('names who keeps it, where that is known, beside the plugin', () => {
    const observers = (observer: string | undefined): unknown[] =>
      makeReport(contents({ observer }))
        ['ContentSequence'].filter(
          ({ RelationshipType }: NaturalizedInstance) => RelationshipType === 'HAS OBS CONTEXT',
        )
        .map((item: NaturalizedInstance) => item['PersonName'] ?? item['TextValue'])
        .filter(Boolean);
    expect(observers('Muster^Maria')).toEqual(['Muster^Maria', expect.any(String)]);
    expect(observers(undefined)).toHaveLength(1);
  });

  test('names the reports that it replaces', () => {
    const replaced = [{ seriesInstanceUid: '2.25.8', sopInstanceUid: '2.25.9' }];
    expect(readReport(stored(makeReport(contents({ replaced }))), SOURCE)?.replaced).toEqual(['2.25.9']);
  });

  test('of what is withdrawn has nothing that counts', () => {
    const report = stored(makeReport(contents({ areWithdrawn: true })));
    expect(readReport(report, SOURCE)?.annotations).toEqual([]);
  });

  test.each<readonly [string, NaturalizedInstance, NaturalizedInstance]>([
    ['another slide', {}, { ...SOURCE, SOPInstanceUID: '1.2.4' }],
    ['another product', { ManufacturerModelName: 'another' }, SOURCE],
    ['another class', { SOPClassUID: '1.2.840.10008.5.1.4.1.1.88.33' }, SOURCE],
  ])('is not taken for one of this slide: %s', (_name, change, source) => {
    expect(readReport(stored({ ...makeReport(contents()), ...change }), source)).toBeUndefined();
  });

  test('has nothing to draw where the frame of reference is another one', () => {
    const report = stored(makeReport(contents()));
    expect(readReport(report, { ...SOURCE, FrameOfReferenceUID: '1.2.10' })?.annotations).toEqual([]);
  });
});
