import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { windowsOf } from '../../core/src/image/windows.ts';
import { COLOUR_BLOCK } from '../../core/src/stain/colour-summary.ts';
import { SAMPLE_CORE, sampleOf } from '../../server/src/pipeline/sample-windows.ts';
import type { SurveyedWindow } from '../../server/src/pipeline/survey.ts';
import type { PixelSource } from '../../server/src/slide/pixel-source.ts';
import { runs } from '../support/property-runs.ts';

const NETWORK = { halo: 16, alignment: 4 };

/** A slide all of tissue; no pixel of it is read. */
function slide(
  width: number,
  height: number,
  tile: number,
): { base: PixelSource; surveyed: SurveyedWindow[] } {
  const windows = [...windowsOf(width, height, { ...NETWORK, coreSize: SAMPLE_CORE })];
  return {
    base: {
      width,
      height,
      tile: { width: tile, height: tile },
      coverage: () => [],
      read: () => Promise.reject(new Error('not read')),
    },
    surveyed: windows.map((window) => ({ window, tissue: 1 })),
  };
}

describe('the sample of a slide', () => {
  it('is the whole of its tissue if there is little', () => {
    const { base, surveyed } = slide(1000, 1200, 256);
    const { windows, min, population } = sampleOf(surveyed, base, NETWORK);
    expect(new Set(windows)).toEqual(new Set(surveyed.map(({ window }) => window)));
    expect(population).toBe(windows.length);
    expect(min).toBe(16);
  });

  it('is the whole of little tissue on a large slide too', () => {
    const { base, surveyed } = slide(20_000, 20_000, 256);
    const tissue = surveyed.filter((_, i) => i % 97 === 0);
    const mostlyGlass = surveyed.map((one) => ({ ...one, tissue: tissue.includes(one) ? 0.5 : 0 }));
    const { windows } = sampleOf(mostlyGlass, base, NETWORK);
    expect(tissue.length).toBeGreaterThan(60);
    expect(windows.every((window) => tissue.some((one) => one.window === window))).toBe(true);
    expect(windows[0]!.core.width).toBeGreaterThan(COLOUR_BLOCK);
  });

  it('is blocks from all over much tissue', () => {
    const { base, surveyed } = slide(30_000, 20_000, 256);
    const { windows, min, population } = sampleOf(surveyed, base, NETWORK);
    expect(windows).toHaveLength(512);
    expect(population).toBeCloseTo((30_000 * 20_000) / COLOUR_BLOCK ** 2);
    // Each prefix is: the first blocks lie in every sixth of the slide.
    const sixths = new Set(
      windows.slice(0, min).map(({ x, y }) => Math.floor(x / 10_000) + 3 * Math.floor(y / 10_000)),
    );
    expect(sixths.size).toBe(6);
  });

  it.each([66, 128, 256, 512, 1000, 6000])('takes blocks from all quarters of %i windows alike', (count) => {
    const { base, surveyed } = slide(256 * 100, 256 * 70, 256);
    const { windows } = sampleOf(surveyed.slice(0, count), base, NETWORK);
    const quarters = [0, 0, 0, 0];
    for (const { core } of windows) {
      const { window } = surveyed.find(({ window: { core: cell } }) => {
        const [x, y] = [core.x + 32 - cell.x, core.y + 32 - cell.y];
        return x >= 0 && y >= 0 && x < cell.width && y < cell.height;
      })!;
      const [x, y] = [core.x + 32 - window.core.x, core.y + 32 - window.core.y];
      quarters[(x > window.core.width / 2 ? 1 : 0) + (y > window.core.height / 2 ? 2 : 0)]!++;
    }
    expect(Math.min(...quarters)).toBeGreaterThan(windows.length / 8);
  });

  it('is whole windows where a block would cost the decoding of a large tile', () => {
    const { base, surveyed } = slide(20_000, 20_000, 2000);
    const { windows } = sampleOf(surveyed, base, NETWORK);
    expect(windows).toHaveLength(64);
    expect(windows[0]!.core.width).toBeGreaterThan(COLOUR_BLOCK);
  });

  it('has blocks inside the slide, with whole halos, and each in one tile if that is large enough', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 512, max: 5000 }),
        fc.integer({ min: 512, max: 5000 }),
        fc.integer({ min: 40, max: 512 }),
        (width, height, tile) => {
          fc.pre(Math.ceil(width / 256) * Math.ceil(height / 256) > 80);
          const { base, surveyed } = slide(width, height, tile);
          const { windows, min } = sampleOf(surveyed, base, NETWORK);
          fc.pre(min === 64);
          for (const { x, y, width: across, height: down, core } of windows) {
            expect([across, down]).toEqual([96, 96]);
            expect([x % 4, y % 4]).toEqual([0, 0]);
            expect([x, y].every((from) => from >= 0)).toBe(true);
            expect(x + across).toBeLessThan(width + 4);
            expect(y + down).toBeLessThan(height + 4);
            expect(core).toMatchObject({ x: x + 16, y: y + 16 });
            expect(Math.min(core.width, core.height)).toBeGreaterThan(0);
            expect(core.x + core.width).toBeLessThanOrEqual(width);
            const isInOne = Math.floor(x / tile) === Math.floor((x + across - 1) / tile);
            // The far edge of the slide comes before that of a tile.
            expect(isInOne || tile < 100 || x + across > width - 100).toBe(true);
          }
        },
      ),
      { numRuns: runs(60) },
    );
  });

  it('of a narrow slide is whole windows', () => {
    const { base, surveyed } = slide(60, 40_000, 256);
    const { windows } = sampleOf(surveyed, base, NETWORK);
    expect(windows.every((window) => surveyed.some((one) => one.window === window))).toBe(true);
  });
});
