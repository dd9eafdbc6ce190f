import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignedSize, windowsOf } from '../../../core/src/image/windows.ts';
import { runs } from '../../support/property-runs.ts';

const geometry = fc.record({
  halo: fc.constant(16),
  alignment: fc.constant(4),
  coreSize: fc.integer({ min: 4, max: 64 }).map((n) => n * 4),
});

describe('windows', () => {
  it('have cores that tile the slide exactly once', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 300 }),
        geometry,
        (width, height, g) => {
          const covered = new Uint8Array(width * height);
          for (const { core } of windowsOf(width, height, g))
            for (let y = core.y; y < core.y + core.height; y++)
              for (let x = core.x; x < core.x + core.width; x++) covered[y * width + x]!++;
          expect(covered.every((n) => n === 1)).toBe(true);
        },
      ),
      { numRuns: runs(60) },
    );
  });

  it('have one size, are aligned and inside the slide, with a whole halo wherever the slide continues', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 300 }),
        geometry,
        (width, height, g) => {
          const windows = [...windowsOf(width, height, g)];
          const [paddedWidth, paddedHeight] = [alignedSize(width, 4), alignedSize(height, 4)];
          expect(new Set(windows.map((w) => `${w.width}x${w.height}`)).size).toBe(1);
          for (const w of windows) {
            expect([w.x % 4, w.y % 4, w.width % 4, w.height % 4]).toEqual([0, 0, 0, 0]);
            expect(w.core.width).toBeLessThanOrEqual(g.coreSize + 2 * g.halo);
            const left = w.core.x - w.x;
            const right = w.x + w.width - (w.core.x + w.core.width);
            const top = w.core.y - w.y;
            const bottom = w.y + w.height - (w.core.y + w.core.height);
            expect(w.x === 0 || left >= g.halo).toBe(true);
            expect(w.y === 0 || top >= g.halo).toBe(true);
            expect(w.x + w.width === paddedWidth || right >= g.halo).toBe(true);
            expect(w.y + w.height === paddedHeight || bottom >= g.halo).toBe(true);
            expect(w.x + w.width).toBeLessThanOrEqual(paddedWidth);
            expect(w.y + w.height).toBeLessThanOrEqual(paddedHeight);
          }
        },
      ),
      { numRuns: runs(60) },
    );
  });
});
