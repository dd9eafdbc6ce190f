import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { blankRaster, copyOverlap, type Raster } from '../../core/src/image/raster.ts';
import { countGlass, GlassCells } from '../../server/src/slide/glass-map.ts';
import { extentOf } from '../../server/src/slide/placement.ts';
import type { FramePosition } from '../../server/src/slide/types.ts';
import { tiledLevel } from '../support/tiled-level.ts';

const GLASS = [245, 245, 245] as const;

/** The map of a slide from a small picture of it, cut into square tiles; without those that are missing. */
function mapOf(
  overview: Raster,
  reduction: number,
  side = 256,
  isMissing: (tile: FramePosition) => boolean = () => false,
): GlassCells {
  const { width, height } = overview;
  const map = new GlassCells({ width: width * reduction, height: height * reduction }, overview, 0.08);
  const level = tiledLevel(width, height, side);
  for (const position of level.frames) {
    if (isMissing(position)) continue;
    // What pads a tile at the edge is not the slide's.
    const tile = blankRaster(side, side, [0, 0, 0]);
    copyOverlap(overview, { x: 0, y: 0 }, tile, position);
    const extent = extentOf(level, position);
    map.add(extent, countGlass(tile, extent, map.search));
  }
  return map;
}

describe('glass map', () => {
  it('never calls a rectangle glass if the overview shows a dense pixel in it', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 700 }),
        fc.integer({ min: 1, max: 16 }),
        fc.array(fc.tuple(fc.nat(59), fc.nat(699)), { maxLength: 4 }),
        fc.tuple(
          fc.nat(900),
          fc.nat(900),
          fc.integer({ min: 1, max: 300 }),
          fc.integer({ min: 1, max: 300 }),
        ),
        fc.integer({ min: 5, max: 1000 }),
        (width, height, reduction, specks, [x, y, w, h], side) => {
          const overview = blankRaster(width, height, [...GLASS]);
          const inside = specks.filter(([sx, sy]) => sx < width && sy < height);
          for (const [sx, sy] of inside)
            overview.rgb.fill(120, (sy * width + sx) * 3, (sy * width + sx) * 3 + 3);
          const map = mapOf(overview, reduction, side);
          const shows = inside.some(
            ([sx, sy]) =>
              (sx + 1) * reduction > x &&
              sx * reduction < x + w &&
              (sy + 1) * reduction > y &&
              sy * reduction < y + h,
          );
          if (shows) expect(map.isGlass({ x, y, width: w, height: h })).toBe(false);
          if (inside.length === 0) expect(map.isGlass({ x, y, width: w, height: h })).toBe(true);
        },
      ),
    );
  });

  it('leaves a margin around dense pixels', () => {
    const overview = blankRaster(20, 20, [...GLASS]);
    overview.rgb.fill(100, (10 * 20 + 10) * 3, (10 * 20 + 10) * 3 + 3);
    const map = mapOf(overview, 16);
    expect(map.isGlass({ x: 150, y: 160, width: 10, height: 16 })).toBe(false);
    expect(map.isGlass({ x: 0, y: 0, width: 112, height: 320 })).toBe(true);
  });

  it.each([10, 16, 30])('does not call glass what no tile of %i pixels shows', (side) => {
    const overview = blankRaster(60, 60, [...GLASS]);
    const map = mapOf(overview, 16, side, ({ x, y }) => x === 0 && y === 0);
    expect(map.isGlass({ x: 0, y: 0, width: 16, height: 16 })).toBe(false);
    expect(map.isGlass({ x: (side - 1) * 16, y: (side - 1) * 16, width: 16, height: 16 })).toBe(false);
    expect(map.isGlass({ x: (side + 4) * 16, y: 0, width: 64, height: 960 })).toBe(true);
  });
});
