import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Pyramid, type PyramidGlass } from '../../../core/src/image/pyramid.ts';
import { blankRaster, copyOverlap, type Raster } from '../../../core/src/image/raster.ts';
import type { Tile, TileGrid } from '../../../core/src/image/tile-grid.ts';
import { placementOn } from '../../../server/src/slide/placement.ts';
import { runs } from '../../support/property-runs.ts';

function noise(width: number, height: number, seed: number): Raster {
  const raster = blankRaster(width, height);
  let state = seed | 1;
  for (let i = 0; i < raster.rgb.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    raster.rgb[i] = state >>> 16;
  }
  return raster;
}

/** A grid placed over the base level by the sizes of the two. */
function gridOver(
  base: { readonly width: number; readonly height: number },
  grid: Omit<TileGrid, 'reduction'>,
): TileGrid {
  const unplaced = { spacing: undefined, origin: undefined };
  const whole = { ...grid, totalColumns: base.width, totalRows: base.height };
  return { ...grid, ...placementOn({ ...whole, ...unplaced }, { ...grid, ...unplaced }) };
}

type TileSize = readonly [rows: number, columns: number];

/** A base level and one coarser level per ratio to the level before: heights are rounded down, widths up. */
function levelsOver(
  base: Raster,
  ofBase: TileSize,
  ofOthers: TileSize,
  ratios: readonly number[],
): TileGrid[] {
  let [totalRows, totalColumns] = [base.height, base.width];
  const grids = [gridOver(base, { rows: ofBase[0], columns: ofBase[1], totalRows, totalColumns })];
  for (const ratio of ratios) {
    totalRows = Math.max(1, Math.floor(totalRows / ratio));
    totalColumns = Math.max(1, Math.ceil(totalColumns / ratio));
    grids.push(gridOver(base, { rows: ofOthers[0], columns: ofOthers[1], totalRows, totalColumns }));
  }
  return grids;
}

/**
 * Area average by definition, in float64: every coarse pixel integrates the fine pixels that it covers. A fine pixel
 * that is glass has the source's colour at the coarse pixel.
 */
function averageByDefinition(
  fine: Raster,
  from: TileGrid,
  to: TileGrid,
  glass?: { isGlass: (x: number, y: number) => boolean; source: Raster },
): Float64Array {
  const [width, height] = [to.totalColumns, to.totalRows];
  const rx = to.reduction.across / from.reduction.across;
  const ry = to.reduction.down / from.reduction.down;
  const out = new Float64Array(width * height * 3);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let area = 0;
      for (let py = Math.floor(y * ry); py < Math.min((y + 1) * ry, fine.height); py++)
        for (let px = Math.floor(x * rx); px < Math.min((x + 1) * rx, fine.width); px++) {
          const wx = Math.min(px + 1, (x + 1) * rx) - Math.max(px, x * rx);
          const wy = Math.min(py + 1, (y + 1) * ry) - Math.max(py, y * ry);
          area += wx * wy;
          for (let c = 0; c < 3; c++) {
            const at = (y * width + x) * 3 + c;
            out[at]! +=
              wx *
              wy *
              (glass?.isGlass(px, py) ? glass.source.rgb[at]! : fine.rgb[(py * fine.width + px) * 3 + c]!);
          }
        }
      for (let c = 0; c < 3; c++) out[(y * width + x) * 3 + c]! /= area;
    }
  return out;
}

/** Largest difference of a sample; infinite if the finer image does not reach as far as the coarser one. */
function worstDifference({ rgb }: Raster, expected: Float64Array): number {
  return rgb.reduce((max, v, at) => {
    const difference = Math.abs(v - expected[at]!);
    return Number.isNaN(difference) ? Infinity : Math.max(max, difference);
  }, 0);
}

/** Whether a pixel of an image is in one of its glass tiles. */
function glassMask(pyramid: Pyramid, grid: TileGrid, image: number): (x: number, y: number) => boolean {
  const glass = new Set([...pyramid.glassTiles(image)].map(({ x, y }) => `${x}:${y}`));
  return (x, y) => glass.has(`${x - (x % grid.columns)}:${y - (y % grid.rows)}`);
}

/** @param stopAfter rectangles after which another pyramid continues, from what the first one saved */
async function build(
  base: Raster,
  images: TileGrid[],
  cut: number,
  glass?: PyramidGlass,
  stopAfter?: number,
): Promise<Raster[]> {
  const results = images.map((image) => blankRaster(image.totalColumns, image.totalRows));
  const seen = new Set<string>();
  const sink = async (image: number, tile: Tile): Promise<void> => {
    const key = `${image}:${tile.x}:${tile.y}`;
    expect(seen.has(key)).toBe(false);
    seen.add(key);
    copyOverlap(tile.raster, tile, results[image]!, { x: 0, y: 0 });
  };
  let pyramid = new Pyramid(images, sink, glass);
  let added = 0;
  for (let y = 0; y < base.height; y += cut)
    for (let x = 0; x < base.width; x += cut) {
      const part = blankRaster(Math.min(cut, base.width - x), Math.min(cut, base.height - y));
      if (pyramid.isGlass({ x, y, width: part.width, height: part.height })) continue;
      copyOverlap(base, { x: 0, y: 0 }, part, { x, y });
      await pyramid.add(part, { x, y });
      if (++added !== stopAfter) continue;
      const saved = structuredClone([...pyramid.save()]);
      pyramid = new Pyramid(images, sink, glass);
      for (const tile of saved) pyramid.restore(tile);
    }
  const tiles = images.reduce(
    (sum, i) => sum + Math.ceil(i.totalColumns / i.columns) * Math.ceil(i.totalRows / i.rows),
    0,
  );
  for (const image of images.keys())
    for (const { x, y } of pyramid.glassTiles(image)) {
      const key = `${image}:${x}:${y}`;
      expect(seen.has(key)).toBe(false);
      seen.add(key);
      copyOverlap(await glass!.pixels(image, x, y), { x, y }, results[image]!, { x: 0, y: 0 });
    }
  expect(seen.size).toBe(tiles);
  return results;
}

describe('pyramid', () => {
  it('returns every tile of every level once, each level the area average of the one below', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 3, max: 50 }),
        fc.array(fc.double({ min: 1, max: 5, noNaN: true }), { minLength: 1, maxLength: 4 }),
        fc.integer(),
        async (width, height, tile, cut, ratios, seed) => {
          const base = noise(width, height, seed);
          const images = levelsOver(base, [tile, tile + 1], [tile + 2, tile], ratios);
          const results = await build(base, images, cut);
          expect(results[0]!.rgb).toEqual(base.rgb);
          for (let i = 1; i < images.length; i++) {
            // Whichever finer image it was averaged from.
            const worst = Math.min(
              ...images
                .slice(0, i)
                .map((parent, p) =>
                  worstDifference(results[i]!, averageByDefinition(results[p]!, parent, images[i]!)),
                ),
            );
            expect(worst).toBeLessThanOrEqual(0.51);
          }
        },
      ),
      { numRuns: runs(200), examples: [[77, 4, 1, 3, [2.2], 0]] },
    );
  });

  it('takes glass tiles from the source, in every mixture with others', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 1, max: 90 }),
        fc.integer({ min: 2, max: 30 }),
        fc.array(fc.double({ min: 1, max: 4, noNaN: true }), { minLength: 1, maxLength: 3 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.integer(),
        async (width, height, tile, ratios, part, seed) => {
          const base = noise(width, height, seed);
          const images = levelsOver(base, [tile, tile + 1], [tile, tile + 2], ratios);
          const source = images.map((image, i) =>
            i === 0 ? base : noise(image.totalColumns, image.totalRows, seed + i),
          );
          const chance = (x: number, y: number): number => noise(1, 1, seed + 31 * x + 57 * y).rgb[0]! / 255;
          const glass: PyramidGlass = {
            map: { isGlass: ({ x, y }) => chance(x, y) < part },
            async pixels(image, x, y) {
              const { rows, columns } = images[image]!;
              const raster = blankRaster(columns, rows);
              copyOverlap(source[image]!, { x: 0, y: 0 }, raster, { x, y });
              return raster;
            },
          };
          const results = await build(base, images, 20, glass);
          expect(results[0]!.rgb).toEqual(base.rgb);
          const pyramid = new Pyramid(images, async () => {}, glass);
          for (let i = 1; i < images.length; i++) {
            // Whichever finer image it was averaged from.
            const worst = Math.min(
              ...images.slice(0, i).map((parent, p) => {
                const isGlass = glassMask(pyramid, parent, p);
                const expected = averageByDefinition(results[p]!, parent, images[i]!, {
                  isGlass,
                  source: source[i]!,
                });
                return worstDifference(results[i]!, expected);
              }),
            );
            expect(worst).toBeLessThanOrEqual(0.51);
          }
        },
      ),
      {
        numRuns: runs(200),
        examples: [
          [1, 54, 2, [1.5000000000000002, 2.1875000000000004, 3.7500000000000004], 0.77, -847080761],
        ],
      },
    );
  });

  it('continues from what another pyramid saved, to exactly the same pixels', async () => {
    const sizes = [
      [150, 120],
      [75, 60],
      [31, 25],
      [10, 9],
    ] as const;
    const base = noise(150, 120, 7);
    const images = sizes.map(([totalColumns, totalRows]) =>
      gridOver(base, { rows: 16, columns: 16, totalRows, totalColumns }),
    );
    const whole = await build(base, images, 22);
    for (let stopAfter = 1; stopAfter <= 42; stopAfter++)
      expect(await build(base, images, 22, undefined, stopAfter)).toEqual(whole);
  });

  it('takes a ratio that halving rounded down as two, so that nothing drifts', async () => {
    const base = noise(10, 2967, 1);
    const [, half] = await build(
      base,
      [
        gridOver(base, { rows: 64, columns: 10, totalRows: 2967, totalColumns: 10 }),
        gridOver(base, { rows: 64, columns: 5, totalRows: 1483, totalColumns: 5 }),
      ],
      100,
    );
    const at = (x: number, y: number): number => base.rgb[(y * 10 + x) * 3]!;
    const expected = Math.round((at(8, 2964) + at(9, 2964) + at(8, 2965) + at(9, 2965)) / 4);
    expect(half!.rgb[(1482 * 5 + 4) * 3]).toBe(expected);
  });
});
