import { describe, expect, it } from 'vitest';
import type { DataSet } from '../../server/src/dicom/dataset.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import { makeSlideHeader, type SlideInstanceOptions } from '../support/make-slide.ts';

const limits = { maxSlideMegapixels: 100 };

function header(changes: Partial<SlideInstanceOptions>): DataSet {
  const { totalRows = 32, totalColumns = 32 } = changes;
  const frames = Array.from(
    { length: Math.ceil(totalRows / 16) * Math.ceil(totalColumns / 16) },
    () => new Uint8Array(2),
  );
  return makeSlideHeader({ rows: 16, columns: 16, totalRows, totalColumns, frames, ...changes });
}

const fine = (overrides: Record<string, string> = {}): DataSet => header({ overrides });
const coarse = (overrides: Record<string, string> = {}): DataSet =>
  header({
    totalRows: 16,
    totalColumns: 16,
    pixelSpacing: 0.001,
    overrides: { SOPInstanceUID: '2.25.7', ...overrides },
  });
/** As large as a level may be beside `fine`, and of the same spacing. */
const beside = (overrides: Record<string, string> = {}): DataSet =>
  header({ totalRows: 30, totalColumns: 31, overrides: { SOPInstanceUID: '2.25.8', ...overrides } });

function refusal(...headers: DataSet[]): { code: string; message: string } | undefined {
  try {
    describeSlide(headers, limits);
    return undefined;
  } catch (error) {
    return error as { code: string; message: string };
  }
}

describe('a series of two slides is refused, with both named,', () => {
  it.each<[string, DataSet[]]>([
    ['by their containers', [fine({ ContainerIdentifier: 'C1' }), coarse({ ContainerIdentifier: 'C2' })]],
    ['by their pyramids', [fine({ PyramidUID: '2.25.1' }), coarse({ PyramidUID: '2.25.2' })]],
    [
      'as two scans of one container',
      [
        fine({ FrameOfReferenceUID: '2.25.1', AcquisitionDateTime: '20260101120000' }),
        coarse({ FrameOfReferenceUID: '2.25.2', AcquisitionDateTime: '20260102120000' }),
      ],
    ],
    ['by one spacing', [fine(), beside()]],
    [
      'by one spacing, without containers',
      [fine({ ContainerIdentifier: '' }), beside({ ContainerIdentifier: '' })],
    ],
  ])('%s', (_name, headers) => {
    expect(refusal(...headers)).toMatchObject({
      code: 'SEVERAL_SLIDES',
      message: expect.stringMatching(/2 slides: .*32 x 32.*; .*(16 x 16|31 x 30)/),
    });
    expect(refusal(...headers.toReversed())?.code).toBe('SEVERAL_SLIDES');
  });

  it('two pyramids of their levels each', () => {
    const pyramid = (container: string, uids: readonly string[]): DataSet[] => [
      header({ overrides: { ContainerIdentifier: container, SOPInstanceUID: uids[0]! } }),
      coarse({ ContainerIdentifier: container, SOPInstanceUID: uids[1]! }),
    ];
    const other = [
      beside({ ContainerIdentifier: 'C2' }),
      header({
        totalRows: 15,
        totalColumns: 15,
        pixelSpacing: 0.001,
        overrides: { ContainerIdentifier: 'C2', SOPInstanceUID: '2.25.11' },
      }),
    ];
    const error = refusal(...pyramid('C1', ['2.25.9', '2.25.10']), ...other);
    expect(error?.message).toMatch(/container C1 .*; container C2/);
  });
});

describe('a series of one slide is taken', () => {
  it.each<[string, DataSet[]]>([
    ['without containers', [fine({ ContainerIdentifier: '' }), coarse({ ContainerIdentifier: '' })]],
    [
      'whose container nobody knew',
      [fine({ ContainerIdentifier: 'Unknown' }), coarse({ ContainerIdentifier: 'C1' })],
    ],
    [
      'with spaces around its container',
      [fine({ ContainerIdentifier: 'C1' }), coarse({ ContainerIdentifier: 'C1 ' })],
    ],
    [
      'with a frame of reference for each level',
      [fine({ FrameOfReferenceUID: '2.25.1' }), coarse({ FrameOfReferenceUID: '2.25.2' })],
    ],
    [
      'with a time for each level',
      [fine({ AcquisitionDateTime: '20260101120000' }), coarse({ AcquisitionDateTime: '20260101120130' })],
    ],
  ])('%s', (_name, headers) => {
    expect(refusal(...headers)).toBeUndefined();
  });
});
