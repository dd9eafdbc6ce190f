/**
 * One map of optical density for a slide. By the Beer-Lambert law, the optical density of a pixel is the amounts of
 * stain times the colours of the stains; to first order, another laboratory and scanner change both by one linear map.
 * It is estimated from the colours of the mixture's classes: those of the slide are mapped to those of the template.
 * Each step is a function, and docs/evaluation has a row without it. scripts/dcgmm/linear.py is the same in Python.
 */

import { noteText } from '../notes.ts';
import { averageDensities } from './average-stain.ts';
import type { DensityStatistics } from './class-statistics.ts';
import { solve } from './solve.ts';
import { occurs, type Stain } from './stain.ts';
import constants from './transfer-constants.json' with { type: 'json' };

type Triple = readonly [number, number, number];

/** OD' = OD A + b, with optical densities R, G, B as row vectors. */
export interface OpticalMap {
  /** A, row by row. */
  readonly matrix: readonly [Triple, Triple, Triple];
  /** b. */
  readonly intercept: Triple;
  /** What could not be estimated, in sentences. */
  readonly notes: readonly string[];
}

/**
 * Direction in optical density in which haematoxylin and eosin differ most: red against green (Ruifrok and Johnston
 * 2001).
 */
const HAEMATOXYLIN: Triple = [Math.SQRT1_2, -Math.SQRT1_2, 0];
const CHANNELS = [0, 1, 2] as const;

/**
 * Factor for the network's input, which gives a slide of any strength the usual mean density. The network was trained
 * on densities as they are; otherwise it takes a pale slide's nuclei for stroma.
 *
 * @param density mean optical density of the tissue
 */
export function gainOf(density: number): number {
  const [min, max] = constants.gainLimits as [number, number];
  return density > 0 ? Math.min(max, Math.max(min, constants.usualDensity / density)) : 1;
}

/**
 * Merges all but the last two classes: the split of nuclei into dark and pale ones says more about the tissue than
 * about the stain.
 */
export function nucleiTogether(classes: readonly DensityStatistics[]): DensityStatistics[] {
  const nuclei = classes.slice(0, -2);
  const share = nuclei.reduce((sum, item) => sum + item.share, 0);
  return [{ ...averageDensities(nuclei), share }, ...classes.slice(-2)];
}

/**
 * The colour of a class at its purest: from the mean along the class's own spread, some standard deviations towards
 * more haematoxylin or more eosin. The rest of a class differs between slides of one laboratory; its purest pixels
 * hardly do.
 *
 * @param deviations positive towards haematoxylin
 */
export function pureEnd({ mean, covariance }: DensityStatistics, deviations: number): Triple {
  const along = covariance.map((row) => dot(row, HAEMATOXYLIN)) as unknown as Triple;
  const deviation = Math.sqrt(Math.max(dot(HAEMATOXYLIN, along), 1e-8));
  return mean.map((value, c) => value + (deviations * along[c]!) / deviation) as unknown as Triple;
}

/**
 * Ridge regression of the template's class colours on the slide's. The weight of a class is the geometric mean of its
 * shares on both sides. The ridge, relative to the slide's own densities, pulls A towards one factor for all stains;
 * that of the intercept pulls b towards 0. Identity if no tissue class occurs on both sides.
 */
export function opticalMap(source: Stain, template: Stain): OpticalMap {
  const [own, target] = [nucleiTogether(source.densities), nucleiTogether(template.densities)];
  const used = own.map((item, k) => occurs(item) && occurs(target[k]!));
  const notes = (['NUCLEI_ABSENT', 'STROMA_ABSENT'] as const)
    .filter((_, k) => !used[k])
    .map((code) => noteText(code));
  if (!used[0] && !used[1])
    return {
      matrix: [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
      ],
      intercept: [0, 0, 0],
      notes: [noteText('NO_COMMON_CLASS')],
    };
  const weights = own.map((item, k) => (used[k] ? Math.sqrt(item.share * target[k]!.share) : 0));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const { nuclei, eosin } = constants.pureEnd;
  const ends = [nuclei, -eosin, 0];
  const left = Array.from({ length: 4 }, () => new Array<number>(4).fill(0));
  const right = Array.from({ length: 4 }, () => new Array<number>(3).fill(0));
  for (const [k, weight] of weights.entries()) {
    const x = [...pureEnd(own[k]!, ends[k]!), 1];
    const y = pureEnd(target[k]!, ends[k]!);
    for (const [i, value] of x.entries()) {
      for (const [j, other] of x.entries()) left[i]![j]! += (weight / total) * value * other;
      for (const c of CHANNELS) right[i]![c]! += (weight / total) * value * y[c];
    }
  }
  const trace = (matrix: readonly (readonly number[])[]): number =>
    CHANNELS.reduce<number>((sum, c) => sum + matrix[c]![c]!, 0);
  const size = trace(left);
  const [factor, ridge] = [trace(right) / size, constants.ridge * size];
  for (const c of CHANNELS) {
    left[c]![c]! += ridge;
    right[c]![c]! += ridge * factor;
  }
  left[3]![3]! += constants.interceptRidge;
  const columns = CHANNELS.map((c) =>
    solve(
      left,
      right.map((row) => row[c]!),
    ),
  );
  const row = (i: number): Triple => columns.map((column) => column[i]!) as unknown as Triple;
  return { matrix: [row(0), row(1), row(2)], intercept: row(3), notes };
}

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}
