import { describe, expect, it } from 'vitest';
import { searchResultPieces } from '../../server/src/archive/search-result.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import type { DicomJson } from '../../server/src/dicom/json-model.ts';
import { toDicomJson } from '../../server/src/dicom/to-json.ts';

const FRAMES = 1000;
const header = DataSet.of({
  Modality: 'SM',
  Rows: 8,
  PerFrameFunctionalGroupsSequence: Array.from({ length: FRAMES }, (_, i) =>
    DataSet.of({ FrameContentSequence: [DataSet.of({ DimensionIndexValues: [i + 1, 1] })] }),
  ),
});
const whole = toDicomJson(header);
const result: DicomJson = { '00080060': { vr: 'CS', Value: ['of the index'] } };
const told = (json: DicomJson, wanted: 'all' | ReadonlySet<string>): string[] => [
  ...searchResultPieces(json, header, wanted),
];

describe('a search result with more of its header', () => {
  it.each<[string, DicomJson, 'all' | ReadonlySet<string>, DicomJson]>([
    ['everything', result, 'all', { ...whole, ...result }],
    ['an attribute', result, new Set(['00280010']), { '00280010': whole['00280010']!, ...result }],
    ['an attribute that does not exist', result, new Set(['00080070']), result],
    ['everything, for an empty index entry', {}, 'all', whole],
    ['nothing, for an empty index entry', {}, new Set(), {}],
  ])('has %s', (_, json, wanted, expected) => {
    expect(JSON.parse(told(json, wanted).join(''))).toEqual(expected);
  });

  it('comes in pieces, so that a large slide is never in memory as a whole', () => {
    const pieces = told(result, 'all').map(({ length }) => length);
    expect(Math.max(...pieces)).toBeLessThan(JSON.stringify(whole).length / 5);
  });
});
