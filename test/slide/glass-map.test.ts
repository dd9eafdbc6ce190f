import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLACK, blankRaster } from '../../core/src/image/raster.ts';
import { readGlassMap } from '../../server/src/slide/glass-map.ts';
import { LevelSource, memorySource } from '../../server/src/slide/pixel-source.ts';
import { tiledLevel } from '../support/tiled-level.ts';

const { signal } = new AbortController();

describe('glass map', () => {
  it('never calls a rectangle glass if the overview shows a dense pixel in it', async () => {
    await fc.assert(
      fc.asyncProperty(
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
        fc.record({ width: fc.integer({ min: 1, max: 2000 }), height: fc.integer({ min: 1, max: 2000 }) }),
        async (width, height, reduction, specks, [x, y, w, h], tile) => {
          const overview = blankRaster(width, height, [245, 245, 245]);
          const inside = specks.filter(([sx, sy]) => sx < width && sy < height);
          for (const [sx, sy] of inside)
            overview.rgb.fill(120, (sy * width + sx) * 3, (sy * width + sx) * 3 + 3);
          const base = { width: width * reduction, height: height * reduction };
          const map = await readGlassMap(base, { ...memorySource(overview), tile }, 0.08, signal);
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

  it('leaves a margin around dense pixels', async () => {
    const overview = blankRaster(20, 20, [245, 245, 245]);
    overview.rgb.fill(100, (10 * 20 + 10) * 3, (10 * 20 + 10) * 3 + 3);
    const map = await readGlassMap({ width: 320, height: 320 }, memorySource(overview), 0.08, signal);
    expect(map.isGlass({ x: 150, y: 160, width: 10, height: 16 })).toBe(false);
    expect(map.isGlass({ x: 0, y: 0, width: 112, height: 320 })).toBe(true);
  });

  it.each([10, 240, 513, 768, 1000, 1024, 2000, 2500])(
    'decodes each tile of %i pixels once',
    async (side) => {
      const [width, height] = [6000, 4000];
      const level = tiledLevel(width, height, side);
      const decoded: number[] = [];
      const white = new Uint8Array(side * side * 3).fill(250);
      const overview = new LevelSource(
        level,
        async ({ frame }) => {
          decoded.push(frame);
          return white;
        },
        BLACK,
      );
      await readGlassMap({ width: 4 * width, height: 4 * height }, overview, 0.08, signal);
      expect(decoded).toHaveLength(level.frames.length);
      expect(new Set(decoded).size).toBe(level.frames.length);
    },
  );
});
