import { describe, expect, it } from 'vitest';
import { type Attributes, DataSet } from '../../server/src/dicom/dataset.ts';
import { describeSlide } from '../../server/src/slide/describe.ts';
import { LevelSource } from '../../server/src/slide/pixel-source.ts';
import { makeSlideHeader, type SlideInstanceOptions } from '../support/make-slide.ts';

const limits = { maxSlideMegapixels: 100 };

/** Header of a level of 2 x 2 tiles of 16 x 16 pixels; the frames themselves do not matter here. */
function header(changes: Partial<SlideInstanceOptions> = {}): DataSet {
  const frames = Array.from({ length: 4 }, () => new Uint8Array(2));
  return makeSlideHeader({ rows: 16, columns: 16, totalRows: 30, totalColumns: 32, frames, ...changes });
}

function codeOf(headers: DataSet[]): string {
  try {
    describeSlide(headers, limits);
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const small = {
  totalRows: 15,
  totalColumns: 16,
  pixelSpacing: 0.001,
  frames: [new Uint8Array(2)],
  overrides: { SOPInstanceUID: '2.25.7' },
};

describe('a series', () => {
  it('is described with its levels from the finest to the coarsest, in whatever order they come', () => {
    const slide = describeSlide([header(small), header()], limits);
    expect(slide.levels.map(({ role, totalColumns }) => [role, totalColumns])).toEqual([
      ['base', 32],
      ['level', 16],
    ]);
    expect([...slide.levels[0]!.frames].map(({ x, y }) => [x, y])).toEqual([
      [0, 0],
      [16, 0],
      [0, 16],
      [16, 16],
    ]);
  });

  it('leaves out label and overview, and keeps the thumbnail apart', () => {
    const image = (flavour: string, uid: string): DataSet =>
      header({
        ...small,
        imageType: ['ORIGINAL', 'PRIMARY', flavour, 'NONE'],
        overrides: { SOPInstanceUID: uid },
      });
    const slide = describeSlide(
      [image('LABEL', '2.25.1'), header(), image('THUMBNAIL', '2.25.2'), image('OVERVIEW', '2.25.3')],
      limits,
    );
    expect(slide.levels).toHaveLength(1);
    expect(slide.thumbnail?.role).toBe('thumbnail');
  });

  it.each<[string, Partial<SlideInstanceOptions>, number]>([
    ['that shows the whole glass, by its sides', { totalColumns: 16, totalRows: 8, pixelSpacing: 0.001 }, 0],
    [
      'that shows the whole glass, by its spacing',
      { totalColumns: 16, totalRows: 15, pixelSpacing: 0.004 },
      0,
    ],
    ['with the spacing of the base level', { totalColumns: 16, totalRows: 15, pixelSpacing: 0.0005 }, 1],
    ['whose sides are rounded', { totalColumns: 3, totalRows: 2, pixelSpacing: 0.005 }, 1],
  ])('has a thumbnail only if it shows the same: one %s', (_what, options, expected) => {
    const thumbnail = header({
      ...small,
      ...options,
      imageType: ['ORIGINAL', 'PRIMARY', 'THUMBNAIL', 'RESAMPLED'],
    });
    const slide = describeSlide([header({ pixelSpacing: 0.0005 }), thumbnail], limits);
    expect([slide.thumbnail ? 1 : 0, slide.notes.length]).toEqual([expected, 1 - expected]);
  });

  it.each([
    ['one at each position', [0, 16], 'accepted'],
    ['two at one position', [0, 0], 'FOCAL_PLANES_UNSUPPORTED'],
  ])('may have frames in different focal planes, %s', (_what, columns, expected) => {
    const made = header({
      tiling: 'TILED_SPARSE',
      frames: columns.map(() => new Uint8Array(2)),
      positions: columns.map((x) => ({ x, y: 0 })),
    });
    const groups = made.items('PerFrameFunctionalGroupsSequence').map((group, i) => {
      const [position] = group.items('PlanePositionSlideSequence');
      return group.with({
        PlanePositionSlideSequence: [position!.with({ ZOffsetInSlideCoordinateSystem: i / 10 })],
      });
    });
    expect(codeOf([made.with({ PerFrameFunctionalGroupsSequence: groups })])).toBe(expected);
  });

  it.each(['TILED_SPARSE', 'none'] as const)(
    'takes positions from the frames, in any order: %s',
    (tiling) => {
      const positions = [
        { x: 16, y: 16 },
        { x: 0, y: 0 },
        { x: 16, y: 0 },
      ];
      const frames = positions.map(() => new Uint8Array(2));
      const [level] = describeSlide([header({ tiling, positions, frames })], limits).levels;
      expect([...level!.frames].map(({ frame, x, y }) => ({ frame, x, y }))).toEqual(
        positions.map((at, frame) => ({ frame, ...at })),
      );
    },
  );

  it('joins a concatenation in the order of its parts', () => {
    const frames = [new Uint8Array(2), new Uint8Array(2)];
    const part = (number: number): DataSet =>
      header({
        frames,
        concatenation: { number, total: 2, frameOffset: 2 * (number - 1) },
        overrides: { SOPInstanceUID: `2.25.${number}` },
      });
    const [level] = describeSlide([part(2), part(1)], limits).levels;
    expect(level!.instances.map(({ sopInstanceUid }) => sopInstanceUid)).toEqual(['2.25.1', '2.25.2']);
    expect([...level!.frames].map(({ instance, frame, x, y }) => [instance, frame, x, y])).toEqual([
      [0, 0, 0, 0],
      [0, 1, 16, 0],
      [1, 0, 0, 16],
      [1, 1, 16, 16],
    ]);
    expect(codeOf([part(2)])).toBe('SLIDE_STRUCTURE_INVALID');
  });
});

describe('an image without a patient', () => {
  it('is of the same patient as the others', () => {
    const level = header({ ...small, overrides: { ...small.overrides, PatientID: '' } });
    expect(codeOf([header(), level])).toBe('accepted');
  });
});

describe('is refused before any work', () => {
  it.each([
    'Rows',
    'Columns',
    'TotalPixelMatrixRows',
    'TotalPixelMatrixColumns',
    'BitsStored',
    'NumberOfFrames',
  ])('when %s has two values', (keyword) => {
    const one = header().number(keyword)!;
    const two = header({ overrides: { [keyword]: [one, one] } });
    expect(two.numbers(keyword)).toHaveLength(2);
    expect(codeOf([two])).toBe('DICOM_INVALID');
  });

  const path = (value: string, meaning: string): DataSet =>
    DataSet.of({
      OpticalPathIdentifier: value,
      IlluminationTypeCodeSequence: [
        DataSet.of({ CodeValue: meaning, CodingSchemeDesignator: 'DCM', CodeMeaning: 'x' }),
      ],
    });
  const brightfield = path('1', '111744');

  it.each<[string, string, Partial<SlideInstanceOptions>]>([
    ['another SOP class', 'NOT_WHOLE_SLIDE', { overrides: { SOPClassUID: '1.2.840.10008.5.1.4.1.1.2' } }],
    ['another modality', 'NOT_WHOLE_SLIDE', { overrides: { Modality: 'CT' } }],
    ['one sample per pixel', 'PIXEL_FORMAT_UNSUPPORTED', { overrides: { SamplesPerPixel: 1 } }],
    ['16 bits', 'PIXEL_FORMAT_UNSUPPORTED', { overrides: { BitsAllocated: 16, BitsStored: 16 } }],
    ['hue, saturation and value', 'PIXEL_FORMAT_UNSUPPORTED', { photometricInterpretation: 'HSV' }],
    ['a palette', 'PIXEL_FORMAT_UNSUPPORTED', { photometricInterpretation: 'PALETTE COLOR' }],
    [
      'fluorescence',
      'FLUORESCENCE_UNSUPPORTED',
      { overrides: { OpticalPathSequence: [path('1', '111743')] } },
    ],
    [
      'two optical paths',
      'OPTICAL_PATHS_UNSUPPORTED',
      { overrides: { OpticalPathSequence: [brightfield, path('2', '111744')] } },
    ],
    ['several focal planes', 'FOCAL_PLANES_UNSUPPORTED', { overrides: { TotalPixelMatrixFocalPlanes: 3 } }],
    ['a label only', 'NO_VOLUME_LEVEL', { imageType: ['ORIGINAL', 'PRIMARY', 'LABEL', 'NONE'] }],
    ['frames missing from TILED_FULL', 'SLIDE_STRUCTURE_INVALID', { overrides: { NumberOfFrames: 3 } }],
    ['no size', 'SLIDE_STRUCTURE_INVALID', { remove: ['TotalPixelMatrixRows'] }],
    ['a size of zero', 'SLIDE_STRUCTURE_INVALID', { overrides: { Rows: 0 } }],
    [
      'a slide above the limit',
      'SLIDE_TOO_LARGE',
      { totalColumns: 20_000, totalRows: 20_000, rows: 10_000, columns: 10_000 },
    ],
    [
      'a tile off the grid',
      'SLIDE_STRUCTURE_INVALID',
      { tiling: 'TILED_SPARSE', frames: [new Uint8Array(2)], positions: [{ x: 3, y: 0 }] },
    ],
    [
      'a tile outside the slide',
      'SLIDE_STRUCTURE_INVALID',
      { tiling: 'TILED_SPARSE', frames: [new Uint8Array(2)], positions: [{ x: 320, y: 0 }] },
    ],
    [
      'two tiles at the same position',
      'SLIDE_STRUCTURE_INVALID',
      {
        tiling: 'TILED_SPARSE',
        frames: [new Uint8Array(2), new Uint8Array(2)],
        positions: [
          { x: 0, y: 0 },
          { x: 0, y: 0 },
        ],
      },
    ],
    ['frames without number', 'SLIDE_STRUCTURE_INVALID', { overrides: { NumberOfFrames: 0 } }],
    ['two billion frames', 'SLIDE_STRUCTURE_INVALID', { overrides: { NumberOfFrames: 2 ** 31 - 1 } }],
    [
      'frames of more than 100 megapixels',
      'SLIDE_STRUCTURE_INVALID',
      { rows: 10_001, columns: 10_000, frames: [new Uint8Array(2)] },
    ],
    [
      'a slide with a side of more than a million pixels',
      'SLIDE_STRUCTURE_INVALID',
      { totalColumns: 1_000_001 },
    ],
  ])('%s', (_what, code, changes) => {
    expect(codeOf([header(changes)])).toBe(code);
  });

  it('8 bits in words of 16, with a message that says so', () => {
    const words = header({ overrides: { BitsAllocated: 16 } });
    expect(() => describeSlide([words], limits)).toThrow('3 sample(s) per pixel of 8 bits in 16');
  });

  it.each<[string, string, [Attributes, Attributes]]>([
    ['patients', 'The images of the slide name 2 patients.', [{ PatientID: 'A' }, { PatientID: 'B' }]],
    [
      'orientations',
      'Two images of the slide have different Image Orientation (Slide).',
      [{}, { ImageOrientationSlide: [0, 1, 0, 1, 0, 0], TotalPixelMatrixOriginSequence: [] }],
    ],
  ])('two %s', (_what, message, [ofBase, ofLevel]) => {
    const base = header({ overrides: ofBase });
    const level = header({ ...small, overrides: { ...small.overrides, ...ofLevel } });
    expect(() => describeSlide([base, level], limits)).toThrow(message);
    const imageType = ['ORIGINAL', 'PRIMARY', 'THUMBNAIL', 'RESAMPLED'];
    const thumbnail = header({ ...small, imageType, overrides: { ...small.overrides, ...ofLevel } });
    const slide = describeSlide([base, thumbnail], limits);
    expect(slide.thumbnail).toBeUndefined();
    expect(slide.notes).toEqual([expect.stringContaining(message)]);
  });

  it('parts of a concatenation whose numbers and frame offsets disagree', () => {
    const frames = [new Uint8Array(2), new Uint8Array(2)];
    const parts = [1, 2].map((number) =>
      header({
        frames,
        concatenation: { number, total: 2, frameOffset: 2 * (2 - number) },
        overrides: { SOPInstanceUID: `2.25.${number}` },
      }),
    );
    expect(codeOf(parts)).toBe('SLIDE_STRUCTURE_INVALID');
  });

  it('more than a thousand instances', () => {
    const many = Array.from({ length: 1001 }, () => header());
    expect(() => describeSlide(many, limits)).toThrow(/1001 instances/);
  });

  it('frames of all images together', () => {
    const half = (uid: string): DataSet =>
      header({ overrides: { SOPInstanceUID: uid, NumberOfFrames: 1_000_001 } });
    expect(() => describeSlide([half('2.25.1'), half('2.25.2')], limits)).toThrow(/2000002 frames/);
  });

  it('two images of the same size', () => {
    expect(codeOf([header(), header({ overrides: { SOPInstanceUID: '2.25.9' } })])).toBe(
      'SLIDE_STRUCTURE_INVALID',
    );
  });
});

describe('pixels of a level', () => {
  const signal = new AbortController().signal;

  it('come from the tiles, repeat at the edge, and are glass where tiles are missing', async () => {
    const positions = [
      { x: 16, y: 0 },
      { x: 0, y: 0 },
    ];
    const [level] = describeSlide(
      [header({ tiling: 'TILED_SPARSE', positions, frames: positions.map(() => new Uint8Array(2)) })],
      limits,
    ).levels;
    let decoded = 0;
    const source = new LevelSource(
      level!,
      async ({ frame }) => {
        decoded++;
        return new Uint8Array(16 * 16 * 3).fill(100 + frame);
      },
      [240, 241, 242],
    );
    const raster = await source.read({ x: 0, y: 0, width: 32, height: 32 }, signal);
    const at = (x: number, y: number): number[] => [
      ...raster.rgb.subarray((y * 32 + x) * 3, (y * 32 + x) * 3 + 3),
    ];
    expect(at(0, 0)).toEqual([101, 101, 101]);
    expect(at(31, 15)).toEqual([100, 100, 100]);
    expect(at(5, 20)).toEqual([240, 241, 242]);
    expect(at(5, 31)).toEqual(at(5, 29));
    expect(source.coverage({ x: 0, y: 16, width: 32, height: 14 })).toEqual([]);
    await source.read({ x: 0, y: 0, width: 32, height: 16 }, signal);
    expect(decoded).toBe(2);
  });
});
