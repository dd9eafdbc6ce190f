import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addSums,
  classStatistics,
  densityStatistics,
  SUMS_PER_CLASS,
  samplingError,
} from '../../../core/src/stain/statistics.ts';

const value = fc.double({ min: -1, max: 2, noNaN: true });

/** Sums over samples of one class with responsibility 1: the same values as (D, cx, cy) and as optical densities. */
function sumsOf(samples: [number, number, number][]): Float64Array {
  const sums = new Float64Array(SUMS_PER_CLASS);
  for (const sample of samples) {
    sums[0]! += 1;
    for (const c of [0, 1, 2]) {
      sums[1 + c]! += sample[c]!;
      sums[4 + c]! += sample[c]! ** 2;
      sums[8 + c]! += sample[c]!;
      sums[11 + c]! += sample[c]! ** 2;
      sums[14 + c]! += sample[c]! * sample[(c + 1) % 3]!;
    }
    sums[7]! += 1;
  }
  return sums;
}

describe('class statistics', () => {
  it('are the same for the whole and for any partition of it', () => {
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

  it('in optical density are means and covariances', () => {
    const samples = fc.array(fc.tuple(value, value, value), { minLength: 4, maxLength: 40 });
    fc.assert(
      fc.property(samples, (all) => {
        const [found] = densityStatistics(sumsOf(all));
        const mean = (f: (sample: [number, number, number]) => number): number =>
          all.reduce((sum, sample) => sum + f(sample), 0) / all.length;
        for (const i of [0, 1, 2] as const) {
          expect(found!.mean[i]).toBeCloseTo(
            mean((sample) => sample[i]),
            9,
          );
          for (const j of [0, 1, 2] as const) {
            const [mi, mj] = [mean((sample) => sample[i]), mean((sample) => sample[j])];
            expect(found!.covariance[i][j]).toBeCloseTo(
              mean((sample) => (sample[i] - mi) * (sample[j] - mj)),
              9,
            );
          }
        }
        expect(found!.share).toBe(1);
      }),
    );
  });
});

describe('sampling error', () => {
  /** A window: 1000 pixels of tissue of this density, 1000 of glass. */
  const window = (density: number): Float64Array =>
    Float64Array.from([
      ...[1000, 1000 * density, 0, 0, 1000 * density ** 2, 0, 0, ...new Array(10).fill(0)],
      ...[1000, 20, 0, 0, 1, 0, 0, ...new Array(10).fill(0)],
    ]);

  it('is the standard error of the mean over windows, decreases with their number, and is absent if all are sampled', () => {
    const densities = [0.3, 0.5, 0.4, 0.6, 0.2, 0.7, 0.5, 0.4];
    const parts = densities.map(window);
    const mean = densities.reduce((sum, d) => sum + d, 0) / 8;
    const variance = densities.reduce((sum, d) => sum + (d - mean) ** 2, 0) / 7;
    // D is the mean of three channels, and the others do not vary here.
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
