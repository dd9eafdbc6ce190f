/**
 * Sufficient statistics of the Gaussian mixture (Zanjani et al. 2018).
 *
 * For every tile and class k, the statistics graph returns 17 sums over the counted pixels p. Seven are those of the
 * paper, in HSD colour space, with responsibility g_k(p): g, g D, g cx, g cy, g D^2, g cx^2, g cy^2. Ten are of optical
 * density, with the responsibility that the pixel would have on a slide of the usual strength (linear.ts): g, g R, g G,
 * g B, g R^2, g G^2, g B^2, g R G, g G B, g B R. Sums are additive, so the statistics of a slide are exact although
 * tiles are streamed.
 */
import type { ClassStatistics, DensityStatistics } from './class-statistics.ts';
import constants from './transfer-constants.json' with { type: 'json' };

export const SUMS_PER_CLASS = 17;
/** Index of the first optical density sum. */
const DENSITIES = 7;

/** A smaller standard deviation says more about 8-bit rounding than about the stain. */
const MINIMUM_SD = constants.minimumDeviation;

/** Element-wise `total += sums`; both hold K x 17 float64 values. */
export function addSums(total: Float64Array, sums: Float64Array): void {
  for (let i = 0; i < total.length; i++) total[i]! += sums[i]!;
}

/** Number of counted pixels: the sum of all responsibilities. */
export function massOf(sums: Float64Array): number {
  let pixels = 0;
  for (let at = 0; at < sums.length; at += SUMS_PER_CLASS) pixels += sums[at]!;
  return pixels;
}

/** Mean and standard deviation per class and channel (D, cx, cy), and every class's share of the pixels. */
export function classStatistics(sums: Float64Array): ClassStatistics[] {
  const classes: ClassStatistics[] = [];
  const pixels = massOf(sums);
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

/** Mean and covariance of optical density (R, G, B) per class, and every class's share of the pixels. */
export function densityStatistics(sums: Float64Array): DensityStatistics[] {
  const starts = Array.from(
    { length: sums.length / SUMS_PER_CLASS },
    (_, k) => k * SUMS_PER_CLASS + DENSITIES,
  );
  const pixels = starts.reduce((sum, at) => sum + sums[at]!, 0);
  return starts.map((at) => {
    const mass = sums[at]!;
    const average = (place: number): number => (mass > 0 ? sums[at + place]! / mass : 0);
    const mean = [average(1), average(2), average(3)] as const;
    const [rr, gg, bb, rg, gb, br] = [4, 5, 6, 7, 8, 9].map(average) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const [r, g, b] = mean;
    return {
      share: pixels > 0 ? mass / pixels : 0,
      mean,
      covariance: [
        [rr - r * r, rg - r * g, br - r * b],
        [rg - r * g, gg - g * g, gb - g * b],
        [br - r * b, gb - g * b, bb - b * b],
      ],
    };
  });
}

/**
 * How far the mean colours of the tissue classes may be from those of all windows from which these were drawn, in
 * optical density: the standard errors of D, and of cx and cy times D, of the ratio estimator over windows (Cochran
 * 1977, section 6.3), pooled by the shares of the classes. The last class, glass, does not count.
 *
 * @param parts the sums of each sampled window
 * @param population number of windows that could be sampled
 */
export function samplingError(parts: readonly Float64Array[], population: number): number {
  const total = new Float64Array(parts[0]!.length);
  for (const part of parts) addSums(total, part);
  const tissue = classStatistics(total).slice(0, -1);
  const unseen = 1 - parts.length / population;
  let [square, share] = [0, 0];
  for (const [k, { mean, share: ofClass }] of tissue.entries()) {
    const at = k * SUMS_PER_CLASS;
    if (total[at] === 0) continue;
    share += ofClass;
    for (const channel of [0, 1, 2] as const) {
      const residual = (part: Float64Array): number => part[at + 1 + channel]! - mean[channel] * part[at]!;
      const spread = parts.reduce((sum, part) => sum + residual(part) ** 2, 0) / (parts.length - 1);
      const variance = (unseen * parts.length * spread) / total[at]! ** 2;
      square += (ofClass * variance * (channel === 0 ? 1 : mean[0] ** 2)) / 3;
    }
  }
  return share > 0 ? Math.sqrt(square / share) : Infinity;
}
