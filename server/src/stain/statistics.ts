/**
 * Sufficient statistics of the Gaussian mixture in HSD colour space (Zanjani et al. 2018).
 *
 * The statistics graph answers, for every tile and class k, seven sums over the counted pixels p with
 * responsibility g_k(p): g, g D, g cx, g cy, g D^2, g cx^2, g cy^2. Sums are additive, so the statistics
 * of a slide are exact from streamed tiles.
 */
import type { ClassStatistics } from '../normalization/types.ts';

export const SUMS_PER_CLASS = 7;

/** Below this a standard deviation says more about 8-bit rounding than about the stain. */
const MINIMUM_SD = 0.005;

/** Element-wise `total += sums`; both hold K x 7 float64 values. */
export function addSums(total: Float64Array, sums: Float64Array): void {
  for (let i = 0; i < total.length; i++) total[i]! += sums[i]!;
}

/** Mean and standard deviation per class and channel (D, cx, cy), and every class's share of the pixels. */
export function classStatistics(sums: Float64Array): ClassStatistics[] {
  const classes: ClassStatistics[] = [];
  let pixels = 0;
  for (let at = 0; at < sums.length; at += SUMS_PER_CLASS) pixels += sums[at]!;
  for (let at = 0; at < sums.length; at += SUMS_PER_CLASS) {
    const mass = sums[at]!;
    const mean = (channel: number): number => (mass > 0 ? sums[at + 1 + channel]! / mass : 0);
    const sd = (channel: number): number => {
      if (mass <= 0) return MINIMUM_SD;
      const variance = sums[at + 4 + channel]! / mass - mean(channel) ** 2;
      return Math.max(MINIMUM_SD, Math.sqrt(Math.max(0, variance)));
    };
    classes.push({
      share: pixels > 0 ? mass / pixels : 0,
      mean: [mean(0), mean(1), mean(2)],
      sd: [sd(0), sd(1), sd(2)],
    });
  }
  return classes;
}

/** The statistics of several classes taken as one, weighted by their shares (law of total variance). */
export function pooledStatistics(classes: readonly ClassStatistics[]): ClassStatistics {
  const share = classes.reduce((sum, { share }) => sum + share, 0);
  const pool = (channel: 0 | 1 | 2): { mean: number; sd: number } => {
    if (share <= 0) return { mean: 0, sd: MINIMUM_SD };
    let mean = 0;
    let square = 0;
    for (const item of classes) {
      mean += (item.share / share) * item.mean[channel];
      square += (item.share / share) * (item.sd[channel] ** 2 + item.mean[channel] ** 2);
    }
    return { mean, sd: Math.max(MINIMUM_SD, Math.sqrt(Math.max(0, square - mean ** 2))) };
  };
  const [d, cx, cy] = [pool(0), pool(1), pool(2)];
  return { share, mean: [d.mean, cx.mean, cy.mean], sd: [d.sd, cx.sd, cy.sd] };
}
