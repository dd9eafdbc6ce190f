import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toStainError } from '../../core/src/errors.ts';
import type { DataSet } from '../../server/src/dicom/dataset.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import { slidesToAskFor } from '../../server/src/slide/several-slides.ts';
import type { Slide } from '../../server/src/slide/types.ts';
import { makeSlideHeader, type SlideInstanceOptions } from '../support/make-slide.ts';
import { runs } from '../support/property-runs.ts';

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
/** As large as a level may be beside `fine`, and with the same spacing. */
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

describe('a series of two slides is refused if none is requested, with both named,', () => {
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

it('images that differ only in frame of reference and time may be levels of one slide: none is offered', () => {
  const scanned = (uid: string): Record<string, string> => ({
    FrameOfReferenceUID: uid,
    AcquisitionDateTime: `2026010112000${uid.at(-1)}`,
  });
  const levels = [fine(scanned('2.25.1')), coarse(scanned('2.25.2'))];
  expect(refusal(...levels)?.message).toMatch(/It is unclear/);
  expect(slidesToAskFor(toStainError(refusal(...levels)))).toEqual([]);
  // Two of the same size cannot be levels.
  const scans = [fine(scanned('2.25.1')), fine({ SOPInstanceUID: '2.25.5', ...scanned('2.25.2') })];
  expect(slidesToAskFor(toStainError(refusal(...scans)))).toHaveLength(2);
});

describe('a series of one slide is accepted', () => {
  it.each<[string, DataSet[]]>([
    ['without containers', [fine({ ContainerIdentifier: '' }), coarse({ ContainerIdentifier: '' })]],
    [
      'whose container is unknown',
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

/** Two slides in two containers, two levels each, and a thumbnail each. */
function twoSlides(): DataSet[] {
  return ['C1', 'C2'].flatMap((container, i) => {
    const named = (SOPInstanceUID: string) => ({
      ContainerIdentifier: container,
      FrameOfReferenceUID: `2.25.10${i}`,
      AcquisitionDateTime: `2026010${i + 1}`,
      SOPInstanceUID: `2.25.${i + 1}${SOPInstanceUID}`,
    });
    return [
      fine(named('1')),
      coarse(named('2')),
      header({
        totalRows: 16,
        totalColumns: 16,
        imageType: ['ORIGINAL', 'PRIMARY', 'THUMBNAIL', 'RESAMPLED'],
        pixelSpacing: 0.001,
        overrides: named('3'),
      }),
    ];
  });
}

const uidsOf = ({ levels, thumbnail }: Slide): string[] =>
  [...levels, ...(thumbnail ? [thumbnail] : [])].flatMap(({ instances }) =>
    instances.map(({ sopInstanceUid }) => sopInstanceUid),
  );

const ask = (headers: readonly DataSet[], image: string): Slide => describeSlide(headers, limits, image);
const refusalOf = (headers: readonly DataSet[], image?: string) => {
  try {
    describeSlide(headers, limits, image);
  } catch (error) {
    return toStainError(error);
  }
  throw new Error('not refused');
};

describe('a slide that is requested by one of its images', () => {
  it.each(['2.25.21', '2.25.22', '2.25.23'])('is returned with its own images only: %s', (image) => {
    const slide = ask(twoSlides(), image);
    expect(uidsOf(slide)).toEqual(['2.25.21', '2.25.22', '2.25.23']);
    expect(slide).toMatchObject({ isOneOfSeveral: true, notes: [] });
  });

  it('may have the size of the other one', () => {
    const sizes = ['2.25.11', '2.25.21'].map((image) => ask(twoSlides(), image).levels[0]!.totalColumns);
    expect(sizes).toEqual([32, 32]);
  });

  it('is named in the refusal of requests that name none', () => {
    const error = refusalOf(twoSlides());
    expect(slidesToAskFor(error)).toEqual(['2.25.11', '2.25.21']);
    expect(error.data).toEqual({
      slides: [
        { slide: '2.25.11', sopInstanceUids: ['2.25.11', '2.25.12'] },
        { slide: '2.25.21', sopInstanceUids: ['2.25.21', '2.25.22'] },
      ],
    });
    expect(error.message).toMatch(/container C1 .*2\.25\.11\); container C2 .*2\.25\.21\)/);
  });

  it('is refused if the series has no such image', () => {
    expect(refusalOf(twoSlides(), '2.25.99').code).toBe('SLIDE_NOT_FOUND');
  });

  it('is the only one of its series, if it is', () => {
    expect(ask([fine(), coarse()], '2.25.7')).toMatchObject({ isOneOfSeveral: false });
  });

  it('is judged by itself: whether another one can be normalised does not matter', () => {
    const [first, ...others] = twoSlides();
    const headers = [
      first!.with({ SamplesPerPixel: 1, PhotometricInterpretation: 'MONOCHROME2' }),
      ...others,
    ];
    expect(uidsOf(ask(headers, '2.25.21'))).toHaveLength(3);
    expect(refusalOf(headers, '2.25.11').code).toBe('PIXEL_FORMAT_UNSUPPORTED');
  });

  it.each<[string, string]>([
    ['of another container', 'C9'],
    ['of no container', ''],
  ])('loses a thumbnail %s, with a note', (_name, container) => {
    const unsure = { ContainerIdentifier: container, FrameOfReferenceUID: '' };
    const headers = twoSlides().map((one) =>
      one.strings('ImageType')[2] === 'THUMBNAIL' ? one.with(unsure) : one,
    );
    const slide = ask(headers, '2.25.11');
    expect(slide.thumbnail).toBeUndefined();
    expect(slide.notes).toEqual([expect.stringMatching(/^The thumbnail was left out/)]);
    expect(refusalOf(headers, '2.25.13').code).toBe('SLIDE_NOT_FOUND');
  });

  it.each<[string, (level: DataSet) => DataSet]>([
    ['a level fits both', (level) => level.with({ ContainerIdentifier: '', FrameOfReferenceUID: '' })],
    [
      'a level has only the time in common with its base level',
      (level) => level.with({ ContainerIdentifier: '', FrameOfReferenceUID: '2.25.55' }),
    ],
  ])('is refused if %s', (_name, change) => {
    const headers = twoSlides().map((one) =>
      one.string('SOPInstanceUID') === '2.25.12' ? change(one) : one,
    );
    for (const image of ['2.25.11', '2.25.21', undefined]) {
      const error = refusalOf(headers, image);
      expect(error.code).toBe('SEVERAL_SLIDES');
      expect(slidesToAskFor(error)).toEqual([]);
    }
  });

  it('is refused if a concatenation joins two', () => {
    const part = (number: number, container: string) =>
      header({
        frames: [new Uint8Array(2), new Uint8Array(2)],
        concatenation: { number, total: 2, frameOffset: 2 * (number - 1) },
        overrides: { ContainerIdentifier: container },
      });
    expect(refusalOf([part(1, 'C1'), part(2, 'C2')]).message).toMatch(/joins instances of different slides/);
  });
});

it('pixels of one slide never get the header of another, whatever the headers omit and in any order', () => {
  /** What the header of a level says about its slide, or omits. */
  const level = fc.record({
    container: fc.constantFrom('own', '', 'UNKNOWN'),
    pyramid: fc.boolean(),
    frameOfReference: fc.constantFrom('own', 'of the level', ''),
    acquired: fc.constantFrom('own', 'of the level', ''),
    isThumbnail: fc.boolean(),
  });
  const slides = fc.array(fc.array(level, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 3 });
  const areScansOfOne = fc.boolean();
  let [given, refused] = [0, 0];
  fc.assert(
    fc.property(slides, areScansOfOne, fc.infiniteStream(fc.nat()), (made, isOne, order) => {
      const headers = made.flatMap((levels, s) =>
        levels.map((says, l) => {
          const size = 32 >> l;
          // What no header states cannot be known: the base level states it, by its container or, for a second scan,
          // its time.
          const isBase = l === 0;
          const own = { own: `2.25.${s + 1}0`, 'of the level': `2.25.${s + 1}${l + 1}`, '': '' };
          const time = { own: `2026010${s + 1}`, 'of the level': `2026010${s + 1}12000${l}`, '': '' };
          return header({
            totalRows: size,
            totalColumns: size,
            pixelSpacing: 0.0005 * 2 ** l,
            ...(l > 0 &&
              says.isThumbnail && { imageType: ['ORIGINAL', 'PRIMARY', 'THUMBNAIL', 'RESAMPLED'] }),
            overrides: {
              SOPInstanceUID: `2.25.7${s}${l}`,
              ContainerIdentifier:
                isBase || says.container === 'own' ? (isOne ? 'C' : `C${s}`) : says.container,
              ...(says.pyramid && { PyramidUID: `2.25.${s + 1}9` }),
              FrameOfReferenceUID: own[isBase && isOne ? 'own' : says.frameOfReference],
              AcquisitionDateTime: time[isBase && isOne ? 'own' : says.acquired],
            },
          });
        }),
      );
      const keys = headers.map(() => order.next().value!);
      const shuffled = headers.map(
        (_, i) => headers[[...keys.keys()].sort((a, b) => keys[a]! - keys[b]!)[i]!]!,
      );
      expect(refusalOf(shuffled).code).toBe('SEVERAL_SLIDES');
      for (const image of headers.map((one) => one.string('SOPInstanceUID')!)) {
        let slide: Slide;
        try {
          slide = ask(shuffled, image);
        } catch (error) {
          expect(['SEVERAL_SLIDES', 'SLIDE_NOT_FOUND']).toContain(toStainError(error).code);
          refused++;
          continue;
        }
        given++;
        const of = (uid: string) => uid[6];
        expect(new Set(uidsOf(slide).map(of))).toEqual(new Set([of(image)]));
        expect(uidsOf(ask(headers, image))).toEqual(uidsOf(slide));
      }
    }),
    { numRuns: runs(500) },
  );
  expect(Math.min(given, refused)).toBeGreaterThan(150);
});
