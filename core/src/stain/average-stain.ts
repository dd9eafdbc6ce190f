/**
 * The mean stain of several slides of one laboratory: a single field is a poor template, because its content is
 * arbitrary.
 */
import type { ClassStatistics, DensityStatistics } from './class-statistics.ts';
import type { Stain } from './stain.ts';

const CHANNELS = [0, 1, 2] as const;

/** The mean of the stains' moments, with equal weight for each stain; for the glass, the median. */
export function averageStain(stains: readonly Stain[]): Stain {
  const indices = stains[0]!.classes.map((_, k) => k);
  const glass = stains.map(({ glassDensity }) => glassDensity).sort((a, b) => a - b);
  const [lower, upper] = [glass[(glass.length - 1) >> 1]!, glass[glass.length >> 1]!];
  return {
    classes: indices.map((k) => averageClass(stains.map(({ classes }) => classes[k]!))),
    densities: indices.map((k) => averageDensities(stains.map(({ densities }) => densities[k]!))),
    glassDensity: (lower + upper) / 2,
  };
}

function averageClass(items: readonly ClassStatistics[]): ClassStatistics {
  const { share, average } = weighted(items);
  const mean = CHANNELS.map((c) => average((item) => item.mean[c])) as [number, number, number];
  const sd = CHANNELS.map((c) =>
    Math.sqrt(average((item) => item.sd[c] ** 2 + (item.mean[c] - mean[c]) ** 2)),
  ) as [number, number, number];
  return { share, mean, sd };
}

/** Combines all pixels of several classes, or of one class on several slides; the share is the mean of theirs. */
export function averageDensities(items: readonly DensityStatistics[]): DensityStatistics {
  const { share, average } = weighted(items);
  const mean = CHANNELS.map((c) => average((item) => item.mean[c])) as [number, number, number];
  const covariance = CHANNELS.map((i) =>
    CHANNELS.map((j) =>
      average((item) => item.covariance[i][j] + (item.mean[i] - mean[i]) * (item.mean[j] - mean[j])),
    ),
  ) as unknown as DensityStatistics['covariance'];
  return { share, mean, covariance };
}

/** Mean share, and means over the pixels of the class. */
function weighted<T extends { readonly share: number }>(
  items: readonly T[],
): { share: number; average: (value: (item: T) => number) => number } {
  const total = items.reduce((sum, { share }) => sum + share, 0);
  return {
    share: total / items.length,
    // If a class occurs nowhere, every item counts equally.
    average: (value) =>
      items.reduce((sum, item) => sum + (total > 0 ? item.share / total : 1 / items.length) * value(item), 0),
  };
}
