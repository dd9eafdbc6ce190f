import { describe, expect, it } from 'vitest';
import type { ClassStatistics } from '../../server/src/normalization/types.ts';
import { outOfDistribution } from '../../server/src/stain/out-of-distribution.ts';

const NAMES = ['nuclei', 'stroma', 'glass'];
const GLASS: ClassStatistics = { share: 0.3, mean: [0.02, 0, 0], sd: [0.01, 0.01, 0.01] };

/** A class of one colour, in HSD (van der Laak et al. 2000). */
function coloured(rgb: readonly number[]): ClassStatistics {
  const [r, g, b] = rgb.map((level) => -Math.log(level / 255)) as [number, number, number];
  const d = (r + g + b) / 3;
  return { ...GLASS, mean: [d, r / d - 1, (g - b) / (Math.sqrt(3) * d)] };
}

const [VIOLET, PINK] = [coloured([110, 80, 160]), coloured([220, 150, 190])];
const mean = [VIOLET, PINK].flatMap((one) => [one.mean[1], one.mean[2]]);
const spread = (correlation: number) =>
  mean.map((_, i) => mean.map((_, j) => 0.01 * (i === j ? 1 : i % 2 === j % 2 ? correlation : 0)));

function reasonsOf(nuclei: ClassStatistics, stroma: ClassStatistics, correlation = 0): readonly string[] {
  const typical = { mean, covariance: spread(correlation), limit: 1.5 };
  return outOfDistribution([nuclei, stroma, GLASS], 0, typical, NAMES).reasons;
}

describe('what is unlike the H&E of the training', () => {
  it('is said in the colours that a pathologist sees', () => {
    expect(reasonsOf(VIOLET, PINK)).toEqual([]);
    expect(reasonsOf(VIOLET, coloured([180, 120, 60]))[0]).toMatch(/: stroma are browner or yellower than/);
    expect(reasonsOf(coloured([60, 110, 180]), PINK)[0]).toMatch(/: nuclei are bluer than usual/);
    expect(reasonsOf(coloured([200, 40, 60]), PINK)[0]).toMatch(/: nuclei are redder than usual/);
    expect(reasonsOf(VIOLET, coloured([220, 90, 225]))[0]).toMatch(/: stroma are more purple than usual/);
  });

  it('names no class whose colour is usual by itself', () => {
    const shifted = (one: ClassStatistics, by: number): ClassStatistics => ({
      ...one,
      mean: [one.mean[0], one.mean[1] + by, one.mean[2]],
    });
    const [reason] = reasonsOf(shifted(VIOLET, 0.12), shifted(PINK, -0.12), 0.95);
    expect(reason).toMatch(/each stained as usual, but not together in one slide/);
  });
});
