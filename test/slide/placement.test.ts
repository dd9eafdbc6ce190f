import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pyramid } from '../../core/src/image/pyramid.ts';
import { blankRaster, copyOverlap, type Raster, WHITE } from '../../core/src/image/raster.ts';
import { LazyList } from '../../core/src/lazy-list.ts';
import { contentGrid, ownPlacement, placementOn } from '../../server/src/slide/placement.ts';
import type { FramePosition, Level } from '../../server/src/slide/types.ts';
import { runs } from '../support/property-runs.ts';

const SPACING = 0.00025;
/** Width and height of the landmark, in pixels of the base level. */
const LANDMARK = 20;

function level(changes: Partial<Level>): Level {
  const grid = {
    rows: 16,
    columns: 16,
    totalRows: 100,
    totalColumns: 100,
    spacing: undefined,
    origin: undefined,
  };
  const whole = {
    role: 'level' as const,
    instances: [],
    frames: LazyList.from<FramePosition>([]),
    ...grid,
    ...changes,
  };
  return { ...whole, placement: ownPlacement(whole) };
}

/** Centre of the dark pixels, in pixels from the upper left corner. */
function landmark({ width, rgb }: Raster): { x: number; y: number } {
  let [mass, x, y] = [0, 0, 0];
  for (let i = 0; i < rgb.length / 3; i++) {
    const dark = 255 - rgb[i * 3]!;
    mass += dark;
    x += dark * ((i % width) + 0.5);
    y += dark * (Math.floor(i / width) + 0.5);
  }
  return { x: x / mass, y: y / mass };
}

/** Size of a level along an axis, as scanners and converters write it. */
const sizes = {
  floor: (pixels: number): number => Math.max(1, Math.floor(pixels)),
  ceil: (pixels: number): number => Math.ceil(pixels - 1e-9),
  'whole tiles': (pixels: number, tile: number): number => Math.ceil(pixels / tile - 1e-9) * tile,
};

describe('a level of a pyramid', () => {
  it('shows a landmark at the same millimetres as its base level, however it is rounded or padded', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 60, max: 200 }),
        fc.integer({ min: 60, max: 200 }),
        fc.integer({ min: 7, max: 33 }),
        fc.constantFrom<keyof typeof sizes>('floor', 'ceil', 'whole tiles'),
        fc.array(fc.constantFrom(1.5, 2, 2.5, 4), { minLength: 1, maxLength: 3 }),
        fc.tuple(
          fc.double({ min: 0.3, max: 0.6, noNaN: true }),
          fc.double({ min: 0.3, max: 0.6, noNaN: true }),
        ),
        async (width, height, tile, rounding, steps, [atX, atY]) => {
          const grid = { rows: tile, columns: tile };
          const base = level({
            ...grid,
            totalColumns: width,
            totalRows: height,
            spacing: [SPACING, SPACING],
          });
          const levels = [base];
          for (let reduction = 1, i = 0; i < steps.length; i++) {
            reduction *= steps[i]!;
            if (Math.min(width, height) / reduction < 8) break;
            const coarse = level({
              ...grid,
              totalColumns: sizes[rounding](width / reduction, tile),
              totalRows: sizes[rounding](height / reduction, tile),
              spacing: [SPACING * reduction, SPACING * reduction],
            });
            levels.push({ ...coarse, placement: placementOn(base, coarse) });
          }
          const picture = blankRaster(width, height, WHITE);
          copyOverlap(
            blankRaster(LANDMARK, LANDMARK),
            { x: Math.floor(atX * width), y: Math.floor(atY * height) },
            picture,
            { x: 0, y: 0 },
          );
          const found = levels.map(({ placement: { content } }) =>
            blankRaster(content.columns, content.rows, WHITE),
          );
          const pyramid = new Pyramid(levels.map(contentGrid), async (image, part) => {
            copyOverlap(part.raster, part, found[image]!, { x: 0, y: 0 });
          });
          await pyramid.add(picture, { x: 0, y: 0 });
          const [truth] = found.map(landmark);
          // In base pixels. Where in a pixel the edge of w pixels lay is lost, which moves their centre by 1/8w at most, at
          // each level anew; and grey levels are rounded.
          let lost = 0;
          for (const [i, { x, y }] of found.map(landmark).entries()) {
            const [down, across] = levels[i]!.spacing!;
            const reduction = across / SPACING;
            lost += reduction ** 2 / (8 * LANDMARK);
            const maxError = lost * SPACING + 0.05 * across;
            expect(Math.abs(x * across - truth!.x * SPACING)).toBeLessThan(maxError);
            expect(Math.abs(y * down - truth!.y * SPACING)).toBeLessThan(maxError);
          }
        },
      ),
      { numRuns: runs(150) },
    );
  });

  const base = level({
    totalColumns: 2560,
    totalRows: 2560,
    rows: 512,
    columns: 512,
    spacing: [0.0005, 0.0005],
  });

  it('is distinguished from its padding by Pixel Spacing', () => {
    const padded = level({
      totalColumns: 1536,
      totalRows: 1536,
      rows: 512,
      columns: 512,
      spacing: [0.001, 0.001],
    });
    expect(placementOn(base, padded)).toEqual({
      reduction: { across: 2, down: 2 },
      content: { columns: 1280, rows: 1280 },
    });
  });

  it('is placed by its size if the spacing was rounded, or is missing', () => {
    const reduction = { across: 4, down: 4 };
    for (const spacing of [undefined, [0.00199, 0.00201] as const, [0.002, 0.002] as const])
      expect(placementOn(base, level({ totalColumns: 640, totalRows: 640, spacing }))).toMatchObject({
        reduction,
      });
  });

  it('is refused if it shows another part of the slide', () => {
    const other = { totalColumns: 900, totalRows: 1280, spacing: [0.001, 0.001] as const };
    expect(() => placementOn(base, level(other))).toThrow(
      /same part of the slide: 2560 x 2560 .* 900 x 1280/,
    );
    const padded = { totalColumns: 1281 + 512, totalRows: 1280, spacing: [0.001, 0.001] as const };
    expect(() => placementOn(base, level({ ...padded, columns: 512 }))).toThrow(/same part/);
  });

  it('may give its corner as the centre of its first pixel, but no other corner', () => {
    const from = { ...base, origin: { x: 10, y: 20 } };
    const half = { totalColumns: 1280, totalRows: 1280, spacing: [0.001, 0.001] as const };
    expect(placementOn(from, level({ ...half, origin: { x: 10.0005, y: 20.0005 } })).reduction.across).toBe(
      2,
    );
    expect(() => placementOn(from, level({ ...half, origin: { x: 10.01, y: 20 } }))).toThrow(
      /0.010 mm apart/,
    );
  });
});
