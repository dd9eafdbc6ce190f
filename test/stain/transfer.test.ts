import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClassStatistics } from '../../server/src/normalization/types.ts';
import {
  addSums,
  classStatistics,
  pooledStatistics,
  SUMS_PER_CLASS,
} from '../../server/src/stain/statistics.ts';
import {
  fadeAbove,
  MINIMUM_CLASS_SHARE,
  SCALE_LIMITS,
  transferCoefficients,
} from '../../server/src/stain/transfer.ts';

const fade = fadeAbove(0.02);
const names = ['nuclei', 'eosin', 'stroma', 'glass'];

/** Coefficients between two stains of the same glass. */
function coefficients(source: readonly ClassStatistics[], template: readonly ClassStatistics[]) {
  const glassDensity = 0.02;
  return transferCoefficients(
    { classes: source, glassDensity },
    { classes: template, glassDensity },
    names,
    fade,
  );
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

  it('pool to the statistics of all samples taken together', () => {
    const [first, second] = [
      [
        [0.1, 0.2, 0.3],
        [0.3, 0.1, 0.2],
      ],
      [
        [1.0, -0.2, 0.5],
        [0.8, 0.4, 0.1],
        [0.9, 0.9, 0.9],
      ],
    ] as [number, number, number][][];
    const both = new Float64Array([...sumsOf(first!), ...sumsOf(second!)]);
    const pooled = pooledStatistics(classStatistics(both));
    const [expected] = classStatistics(sumsOf([...first!, ...second!]));
    for (const c of [0, 1, 2] as const) {
      expect(pooled.mean[c]).toBeCloseTo(expected!.mean[c], 9);
      expect(pooled.sd[c]).toBeCloseTo(expected!.sd[c], 9);
    }
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

  it('moves the mean of a class onto the mean of the same class of the template', () => {
    fc.assert(
      fc.property(classes, classes, (slide, template) => {
        const source = slide.map((c) => ({ ...c, share: 0.25 }));
        const target = template.map((c) => ({ ...c, share: 0.25 }));
        const { scale, offset } = coefficients(source, target);
        for (let k = 0; k < 4; k++)
          for (const c of [0, 1, 2] as const)
            expect(source[k]!.mean[c] * scale[k * 3 + c]! + offset[k * 3 + c]!).toBeCloseTo(
              target[k]!.mean[c],
              4,
            );
      }),
    );
  });

  it('never stretches contrast beyond its limits and is always finite, whatever the statistics', () => {
    fc.assert(
      fc.property(classes, classes, (slide, template) => {
        const { scale, offset } = coefficients(slide, template);
        for (const s of scale) {
          expect(s).toBeGreaterThanOrEqual(Math.fround(SCALE_LIMITS[0]));
          expect(s).toBeLessThanOrEqual(Math.fround(SCALE_LIMITS[1]));
        }
        expect([...offset].every(Number.isFinite)).toBe(true);
      }),
    );
  });

  it('lets a nearly absent class follow the others, and says so', () => {
    const stroma: ClassStatistics = { share: 0.999, mean: [0.4, 0.1, 0.3], sd: [0.1, 0.1, 0.1] };
    const ghost: ClassStatistics = {
      share: MINIMUM_CLASS_SHARE / 2,
      mean: [9, 9, 9],
      sd: [1e-3, 1e-3, 1e-3],
    };
    const target: ClassStatistics = { share: 0.5, mean: [0.5, 0.2, 0.3], sd: [0.1, 0.1, 0.1] };
    const { scale, offset, notes } = coefficients([stroma, ghost], [target, target]);
    expect([...scale.slice(3)]).toEqual([...scale.slice(0, 3)]);
    expect([...offset.slice(3)]).toEqual([...offset.slice(0, 3)]);
    expect(notes).toHaveLength(1);
  });

  it('matches densities above the glass, however bright the glass of the template was scanned', () => {
    const stroma: ClassStatistics = { share: 1, mean: [0.4, 0.1, 0.3], sd: [0.1, 0.1, 0.1] };
    const { offset } = transferCoefficients(
      { classes: [stroma], glassDensity: 0.1 },
      { classes: [stroma], glassDensity: 0.03 },
      names,
      fade,
    );
    expect([...offset].map((o) => Number(o.toFixed(6)))).toEqual([0.07, 0, 0]);
  });
});
