/** Colours that are made from known amounts of known stains are read as what they were made of. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readColours } from '../../../core/src/stain/colour-reading.ts';
import { EOSIN, HAEMATOXYLIN, stainAmounts } from '../../../core/src/stain/stain-amounts.ts';

const amount = fc.double({ min: 0, max: 2, noNaN: true });

describe('the amounts of both stains', () => {
  it('are those that the density was made of', () => {
    fc.assert(
      fc.property(amount, amount, (h, e) => {
        const density = [0, 1, 2].map((c) => h * HAEMATOXYLIN[c]! + e * EOSIN[c]!);
        const found = stainAmounts(density as unknown as [number, number, number]);
        expect(found.haematoxylin).toBeCloseTo(h, 9);
        expect(found.eosin).toBeCloseTo(e, 9);
      }),
    );
  });

  it('are never negative, and no other amounts come closer', () => {
    const density = fc.tuple(...[0, 1, 2].map(() => fc.double({ min: -0.2, max: 3, noNaN: true })));
    fc.assert(
      fc.property(density, amount, amount, (target, h, e) => {
        const error = (one: { haematoxylin: number; eosin: number }): number =>
          [0, 1, 2].reduce(
            (sum, c) => sum + (target[c]! - one.haematoxylin * HAEMATOXYLIN[c]! - one.eosin * EOSIN[c]!) ** 2,
            0,
          );
        const found = stainAmounts(target as unknown as [number, number, number]);
        expect(Math.min(found.haematoxylin, found.eosin)).toBeGreaterThanOrEqual(0);
        expect(error(found)).toBeLessThanOrEqual(error({ haematoxylin: h, eosin: e }) + 1e-9);
      }),
    );
  });
});

describe('a reading', () => {
  it('of one pixel has its values, and no spread', () => {
    const { pixels, rgb, density, lab } = readColours(Uint8Array.of(255, 0, 0));
    expect(pixels).toBe(1);
    expect(rgb).toEqual([255, 0, 0].map((mean) => ({ mean, sd: 0 })));
    expect(density[0].mean).toBeCloseTo(0, 12);
    // CIELAB of sRGB red under D65 (IEC 61966-2-1).
    expect(lab.map(({ mean }) => Math.round(mean * 10) / 10)).toEqual([53.2, 80.1, 67.2]);
  });

  it('of many pixels has mean and standard deviation', () => {
    const { pixels, rgb } = readColours(Uint8Array.of(10, 100, 200, 30, 100, 220));
    expect(pixels).toBe(2);
    expect(rgb).toEqual([
      { mean: 20, sd: 10 },
      { mean: 100, sd: 0 },
      { mean: 210, sd: 10 },
    ]);
  });

  it('finds no stain in white', () => {
    const { haematoxylin, eosin } = readColours(Uint8Array.of(255, 255, 255));
    expect([haematoxylin.mean, eosin.mean]).toEqual([0, 0]);
  });
});
