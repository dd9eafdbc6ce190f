import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClassStatistics } from '../../server/src/normalization/types.ts';
import {
  addSums,
  classStatistics,
  SUMS_PER_CLASS,
  samplingError,
} from '../../server/src/stain/statistics.ts';
import {
  CONTRAST_LIMITS,
  fadeOf,
  MINIMUM_CLASS_SHARE,
  type Stain,
  transferCoefficients,
} from '../../server/src/stain/transfer.ts';

const names = ['nuclei', 'eosin', 'stroma', 'glass'];

/** Coefficients between two stains of the same glass. */
function coefficients(source: readonly ClassStatistics[], template: readonly ClassStatistics[]) {
  const glassDensity = 0.02;
  return transferCoefficients({ classes: source, glassDensity }, { classes: template, glassDensity }, names);
}
const value = fc.double({ min: -1, max: 2, noNaN: true });
const spread = fc.double({ min: 0.01, max: 0.6, noNaN: true });
const stainClass: fc.Arbitrary<ClassStatistics> = fc.record({
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  mean: fc.tuple(value, value, value),
  sd: fc.tuple(spread, spread, spread),
});
const classes = fc.array(stainClass, { minLength: 4, maxLength: 4 });

/** Sums over samples of one class with responsibility 1. */
function sumsOf(samples: [number, number, number][]): Float64Array {
  const sums = new Float64Array(SUMS_PER_CLASS);
  for (const sample of samples) {
    sums[0]! += 1;
    for (const c of [0, 1, 2]) {
      sums[1 + c]! += sample[c]!;
      sums[4 + c]! += sample[c]! ** 2;
    }
  }
  return sums;
}

describe('class statistics', () => {
  it('are the same from the whole and from any partition of it', () => {
    const samples = fc.array(fc.tuple(value, value, value), { minLength: 4, maxLength: 40 });
    fc.assert(
      fc.property(samples, fc.nat(), (all, at) => {
        const cut = at % all.length;
        const parts = sumsOf(all.slice(0, cut));
        addSums(parts, sumsOf(all.slice(cut)));
        const [whole] = classStatistics(sumsOf(all));
        const [joined] = classStatistics(parts);
        for (const c of [0, 1, 2] as const) {
          expect(joined!.mean[c]).toBeCloseTo(whole!.mean[c], 9);
          expect(joined!.sd[c]).toBeCloseTo(whole!.sd[c], 6);
        }
      }),
    );
  });
});

describe('sampling error', () => {
  /** A window: 1000 pixels of tissue of the density, 1000 of glass. */
  const window = (density: number): Float64Array =>
    Float64Array.from([
      ...[1000, 1000 * density, 0, 0, 1000 * density ** 2, 0, 0],
      ...[1000, 20, 0, 0, 1, 0, 0],
    ]);

  it('is the standard error of the mean over windows, falls with their number and is none when all are seen', () => {
    const densities = [0.3, 0.5, 0.4, 0.6, 0.2, 0.7, 0.5, 0.4];
    const parts = densities.map(window);
    const mean = densities.reduce((sum, d) => sum + d, 0) / 8;
    const variance = densities.reduce((sum, d) => sum + (d - mean) ** 2, 0) / 7;
    // D is one of three channels, and the others do not vary here.
    expect(samplingError(parts, 1e9)).toBeCloseTo(Math.sqrt(variance / 8 / 3), 6);
    expect(samplingError([...parts, ...parts], 1e9)).toBeLessThan(samplingError(parts, 1e9));
    expect(samplingError(parts, 8)).toBe(0);
    expect(
      samplingError(
        Array.from({ length: 8 }, () => window(0.4)),
        1e9,
      ),
    ).toBeCloseTo(0, 9);
  });
});

describe('transfer', () => {
  it('onto itself changes nothing', () => {
    fc.assert(
      fc.property(classes, (slide) => {
        const even = slide.map((c) => ({ ...c, share: 0.25 }));
        const { scale, offset, notes } = coefficients(even, even);
        expect([...scale].every((s) => s === 1)).toBe(true);
        expect([...offset].every((o) => Math.abs(o) < 1e-6)).toBe(true);
        expect(notes).toEqual([]);
      }),
    );
  });

  it('moves the chroma of a class without scaling it, and the mean density of all tissue onto the template’s', () => {
    fc.assert(
      fc.property(classes, classes, (slide, template) => {
        const source = slide.map((c) => ({ ...c, share: 0.25 }));
        const target = template.map((c) => ({ ...c, share: 0.25 }));
        const { scale, offset } = coefficients(source, target);
        const moved = (k: number, c: 0 | 1 | 2): number =>
          source[k]!.mean[c] * scale[k * 3 + c]! + offset[k * 3 + c]!;
        for (let k = 0; k < 4; k++) {
          expect([scale[k * 3 + 1], scale[k * 3 + 2]]).toEqual([1, 1]);
          expect(moved(k, 2)).toBeCloseTo(target[k]!.mean[2], 4);
        }
        const density = (value: (k: number) => number): number => (value(0) + value(1) + value(2)) / 3;
        // More only where a class would have fallen onto the glass.
        expect(density((k) => moved(k, 0))).toBeGreaterThan(density((k) => target[k]!.mean[0]) - 1e-4);
      }),
    );
  });

  it('never stretches contrast beyond its limits and is always finite, whatever the statistics', () => {
    fc.assert(
      fc.property(classes, classes, (slide, template) => {
        const { scale, offset } = coefficients(slide, template);
        const [least, most] = CONTRAST_LIMITS;
        for (const s of scale) {
          expect(s).toBeGreaterThanOrEqual(Math.fround(least));
          expect(s).toBeLessThanOrEqual(Math.fround(most));
        }
        expect([...offset].every(Number.isFinite)).toBe(true);
      }),
    );
  });

  it('multiplies densities above the glass as the strength of the stain differs', () => {
    const strengths = fc.double({ min: 0.5, max: 2, noNaN: true });
    fc.assert(
      fc.property(strengths, fc.double({ min: 0, max: 0.06, noNaN: true }), (strength, glassDensity) => {
        const slide = (factor: number): Stain => ({
          classes: [1, 0.7, 0.3, 0].map((density) => ({
            share: 0.25,
            mean: [glassDensity + factor * density, 0.1, 0.4],
            sd: [factor * 0.1, 0.1, 0.1],
          })),
          glassDensity,
        });
        const { scale, offset } = transferCoefficients(slide(1), slide(strength), names);
        for (const density of [1, 0.7, 0.3])
          expect((glassDensity + density) * scale[0]! + offset[0]!).toBeCloseTo(
            glassDensity + strength * density,
            5,
          );
      }),
    );
  });

  it('does not stretch a slide of one tissue to the contrast of a template of many', () => {
    const glass: ClassStatistics = { share: 0.1, mean: [0.02, 0, 0], sd: [0.02, 0.2, 0.2] };
    const muscle = [0.62, 0.6, 0.58].map(
      (density): ClassStatistics => ({ share: 0.3, mean: [density, -0.7, 0.5], sd: [0.03, 0.07, 0.1] }),
    );
    const many = [1, 0.8, 0.4].map(
      (density): ClassStatistics => ({ share: 0.3, mean: [density, -0.3, 0.5], sd: [0.15, 0.25, 0.2] }),
    );
    const { scale, offset } = coefficients([...muscle, glass], [...many, glass]);
    expect(scale[6]!).toBeLessThan(2.5);
    // Eosin alone stays on the eosin side of the template's mixture of eosin and everything else.
    expect(-0.7 + offset[7]!).toBeLessThan(-0.35);
  });

  it('leaves pale tissue on the glass, however wide the template’s densities are', () => {
    const tissue = (shares: number[], densities: number[], spread: number): ClassStatistics[] => [
      ...densities.map(
        (density, k) => ({ share: shares[k]!, mean: [density, 0, 0.4], sd: [spread, 0.1, 0.1] }) as const,
      ),
      { share: 0.1, mean: [0.03, 0, 0], sd: [0.02, 0.2, 0.2] },
    ];
    const from = tissue([0.27, 0.45, 0.18], [0.55, 0.35, 0.15], 0.05);
    const to = tissue([0.15, 0.2, 0.55], [1.2, 0.4, 0.12], 0.2);
    const { scale, offset } = transferCoefficients(
      { classes: from, glassDensity: 0.03 },
      { classes: to, glassDensity: 0.03 },
      names,
    );
    const moved = 0.15 * scale[6]! + offset[6]!;
    expect(moved - 0.03).toBeGreaterThanOrEqual(0.0299);
  });

  it('lets a nearly absent class move with the nearest that occurs, and says so', () => {
    const sd = [0.1, 0.1, 0.1] as const;
    const nuclei: ClassStatistics = { share: 0.3, mean: [1, 0.1, 0.5], sd };
    const tissue: ClassStatistics = { share: 0.7, mean: [0.4, -0.2, 0.4], sd };
    const ghost: ClassStatistics = {
      share: MINIMUM_CLASS_SHARE / 2,
      mean: [9, 9, 9],
      sd: [1e-3, 1e-3, 1e-3],
    };
    const glass: ClassStatistics = { share: 0.2, mean: [0.02, 0, 0], sd };
    const other: ClassStatistics = { share: 0.25, mean: [0.7, 0.3, 0.2], sd };
    const { scale, offset, notes } = coefficients(
      [ghost, nuclei, tissue, glass],
      [other, other, other, other],
    );
    expect([...scale.slice(0, 3)]).toEqual([...scale.slice(3, 6)]);
    expect([...offset.slice(0, 3)]).toEqual([...offset.slice(3, 6)]);
    expect([...offset.slice(6, 9)]).not.toEqual([...offset.slice(3, 6)]);
    expect(notes).toEqual([expect.stringContaining('"nuclei"')]);
  });

  it('moves nothing where no class occurs on both sides', () => {
    const sd = [0.1, 0.1, 0.1] as const;
    const there: ClassStatistics = { share: 1, mean: [0.4, 0.1, 0.3], sd };
    const absent: ClassStatistics = { share: 0, mean: [0, 0, 0], sd };
    const { scale, offset, notes } = coefficients([there, absent], [absent, there]);
    expect([...scale]).toEqual([1, 1, 1, 1, 1, 1]);
    expect([...offset]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(notes).toHaveLength(2);
  });
});

describe('glass', () => {
  const tissue: ClassStatistics = { share: 1, mean: [0.4, 0.1, 0.3], sd: [0.1, 0.1, 0.1] };
  /** How much denser the mean of the tissue becomes. */
  const shift = (source: number, template: number): number => {
    const { scale, offset } = transferCoefficients(
      { classes: [tissue, tissue], glassDensity: source },
      { classes: [tissue, tissue], glassDensity: template },
      ['tissue', 'glass'],
    );
    return tissue.mean[0] * scale[0]! + offset[0]! - tissue.mean[0];
  };

  it('of a scanner is kept, and densities are matched above it', () => {
    expect(fadeOf(0.05)).toEqual({ low: 0.05 + 0.02, high: 0.05 + 0.08 });
    expect(shift(0.05, 0.02)).toBeCloseTo(0.03, 6);
    expect(shift(0.02, 0.05)).toBeCloseTo(-0.03, 6);
  });

  it('that is tinted is moved: as bright as the template’s, never darker than it was', () => {
    expect(fadeOf(0.2)).toEqual({ low: 0.02, high: 0.08 });
    expect(shift(0.2, 0.02)).toBeCloseTo(0, 6);
    expect(shift(0.12, 0.2)).toBeCloseTo(-0.08, 6);
  });

  it('that is tinted is counted and moved with the palest tissue', () => {
    const sd = [0.1, 0.1, 0.1] as const;
    const slide = (glassDensity: number): Stain => ({
      classes: [tissue, { share: 0.3, mean: [glassDensity, 0, 0.1], sd }],
      glassDensity,
    });
    const white = {
      classes: [tissue, { share: 0.3, mean: [0.03, 0, 0], sd: [0.02, 0.2, 0.2] }],
      glassDensity: 0.03,
    } as const;
    const tinted = transferCoefficients(slide(0.2), white, ['tissue', 'glass']);
    expect([...tinted.scale.slice(3)]).toEqual([...tinted.scale.slice(0, 3)]);
    expect([...tinted.offset.slice(3)]).toEqual([...tinted.offset.slice(0, 3)]);
    // The tissue's own deviations are the same on both sides: what is wider is the range down to the glass.
    expect(tinted.scale[0]).toBeGreaterThan(1.05);
    expect(transferCoefficients(slide(0.03), white, ['tissue', 'glass']).scale[0]).toBeCloseTo(1, 6);
  });

  it('changes from one to the other without a jump', () => {
    const glass = fc.double({ min: 0, max: 0.24, noNaN: true });
    fc.assert(
      fc.property(glass, glass, (source, template) => {
        const nearby = source + 1e-4;
        expect(Math.abs(fadeOf(source).low - fadeOf(nearby).low)).toBeLessThan(1e-3);
        expect(Math.abs(shift(source, template) - shift(nearby, template))).toBeLessThan(2e-3);
      }),
    );
  });
});

describe('the same in Python (scripts/dcgmm/transfer.py)', () => {
  const file = new URL('../fixtures/transfer.json', import.meta.url);
  const cases = JSON.parse(readFileSync(file, 'utf8')) as {
    name: string;
    source: Stain;
    template: Stain;
    scale: number[];
    offset: number[];
    fade: number[];
  }[];
  it.each(cases.map((item) => [item.name, item] as const))('%s', (_name, expected) => {
    const got = transferCoefficients(expected.source, expected.template, names);
    for (const key of ['scale', 'offset', 'fade'] as const)
      for (const [i, value] of [...got[key]].entries()) expect(value).toBeCloseTo(expected[key][i]!, 5);
  });
});
