/**
 * Whether a scanner's stain has drifted since an earlier acceptance: each slide is a point of six numbers, the mean
 * optical densities of its nuclei and of its stroma. Drift is what chance hardly explains and what is large enough to be
 * seen: the mean colour has moved (energy distance, Székely and Rizzo 2013, in units of how much slides differ anyway:
 * much in strength, little in hue), or slides differ more, or less, among each other. Both are permutation tests.
 */
import { z } from 'zod';
import { ciede2000 } from '../../../core/src/stain/ciede2000.ts';
import { dot } from '../../../core/src/stain/linear.ts';
import { solve } from '../../../core/src/stain/solve.ts';
import { generator, shuffle } from './random.ts';
import { labOfDensity, type StainFigures } from './stain-figures.ts';

/** With fewer slides than this on either side, no permutation test at this level can succeed reliably. */
export const MIN_SLIDES = 6;
/** A difference that chance would give less often than this is not taken for chance: 0.01, shared by both tests. */
export const MAX_CHANCE = 0.005;
/**
 * CIEDE2000 by which the mean colour of nuclei or stroma must have moved: what can be seen. Set beforehand, not fitted;
 * how often it finds a known drift is in docs/acceptance.md.
 */
export const MIN_SHIFT = 2;
/** Factor by which the spread between slides must have grown or shrunk. Set beforehand too. */
export const MIN_SPREAD_RATIO = 1.5;
const PERMUTATIONS = 999;
/** Below what is measured. */
const TINY = 1e-12;
/**
 * Part of the mean variance that is added to each, so that noise is not taken for a difference. Chosen, as the units
 * themselves, on pictures of osteosarcoma.
 */
const RIDGE = 0.001;

export const drift = z.strictObject({
  /** Slides of the earlier acceptance and of this one that show both classes. */
  slidesBefore: z.int(),
  slidesNow: z.int(),
  /** CIEDE2000 between the mean colours of all slides, then and now. */
  nuclei: z.number(),
  stroma: z.number(),
  /** How often chance alone gives a difference like this. */
  shiftChance: z.number(),
  /** Standard deviation of the slides around their mean: now, divided by then; null if they did not differ then. */
  spreadRatio: z.number().nullable(),
  spreadChance: z.number(),
  /** Null if there are too few slides to tell. */
  isDrift: z.boolean().nullable(),
});
export type Drift = z.infer<typeof drift>;

type Point = readonly number[];

/** Undefined if one side has no slide that shows both classes. @param seed of the permutations */
export function driftOf(
  before: readonly StainFigures[],
  now: readonly StainFigures[],
  seed: number,
): Drift | undefined {
  const [then, later] = [pointsOf(before), pointsOf(now)];
  if (then.length === 0 || later.length === 0) return undefined;
  const [from, to] = [meanOf(then), meanOf(later)];
  const shift = (first: number): number =>
    ciede2000(labOfDensity(from.slice(first, first + 3)), labOfDensity(to.slice(first, first + 3)));
  const [nuclei, stroma] = [shift(0), shift(3)];
  const [apartThen, apartLater] = [fromMean(then, from), fromMean(later, to)];
  const base = spreadOf(apartThen);
  const spreadRatio = base > 0 ? spreadOf(apartLater) / base : null;
  const shiftChance = chanceOf(shiftBetween(then, later), then.length + later.length, seed);
  const spreadChance = chanceOf(
    spreadBetween([...apartThen, ...apartLater], then.length),
    then.length + later.length,
    seed,
  );
  const hasMoved = shiftChance < MAX_CHANCE && Math.max(nuclei, stroma) >= MIN_SHIFT;
  const hasSpread =
    spreadChance < MAX_CHANCE &&
    spreadRatio !== null &&
    Math.max(spreadRatio, 1 / spreadRatio) >= MIN_SPREAD_RATIO;
  return {
    slidesBefore: then.length,
    slidesNow: later.length,
    nuclei,
    stroma,
    shiftChance,
    spreadRatio,
    spreadChance,
    isDrift: Math.min(then.length, later.length) < MIN_SLIDES ? null : hasMoved || hasSpread,
  };
}

function pointsOf(slides: readonly StainFigures[]): Point[] {
  return slides.flatMap(({ nuclei, stroma }) => (nuclei && stroma ? [[...nuclei.mean, ...stroma.mean]] : []));
}

function meanOf(points: readonly Point[]): number[] {
  return points[0]!.map((_, i) => points.reduce((sum, point) => sum + point[i]!, 0) / points.length);
}

/** How far each slide is from the mean. */
function fromMean(points: readonly Point[], mean: Point): number[] {
  return points.map((point) => Math.hypot(...point.map((value, i) => value - mean[i]!)));
}

/** Standard deviation of slides that are this far from their mean. */
function spreadOf(apart: readonly number[]): number {
  const squares = apart.reduce((sum, value) => sum + value ** 2, 0);
  return apart.length > 1 ? Math.sqrt(squares / (apart.length - 1)) : 0;
}

/** Of all slides of both times together, so that it says nothing of what is to be tested. */
function covarianceOf(points: readonly Point[]): number[][] {
  const mean = meanOf(points);
  const covariance = mean.map((mi, i) =>
    mean.map((mj, j) =>
      points.reduce((sum, point) => sum + ((point[i]! - mi) * (point[j]! - mj)) / points.length, 0),
    ),
  );
  const variance = covariance.reduce((sum, row, i) => sum + row[i]! / covariance.length, 0);
  // Points that are all the same still need units.
  for (const [i, row] of covariance.entries()) row[i]! += Math.max(RIDGE * variance, 1e-9);
  return covariance;
}

/** What is compared, for an order of the slides: the first belong to the earlier time. */
type Statistic = (order: Int32Array) => number;

/** Energy distance between the two times. */
function shiftBetween(then: readonly Point[], later: readonly Point[]): Statistic {
  const points = [...then, ...later];
  const [n, m] = [then.length, later.length];
  const covariance = covarianceOf(points);
  const distances = points.map((a) =>
    Float64Array.from(points, (b) => {
      const apart = a.map((value, i) => value - b[i]!);
      return Math.sqrt(dot(apart, solve(covariance, apart)));
    }),
  );
  return (order) => {
    let [within, beyond, between] = [0, 0, 0];
    for (let i = 0; i < order.length; i++)
      for (let j = 0; j < i; j++) {
        const apart = distances[order[i]!]![order[j]!]!;
        if (i < n) within += apart;
        else if (j >= n) beyond += apart;
        else between += apart;
      }
    return (2 * between) / (n * m) - (2 * within) / n ** 2 - (2 * beyond) / m ** 2;
  };
}

/** Logarithm of the ratio of the spreads, whichever is larger. @param apart how far each slide is from the mean of its time */
function spreadBetween(apart: readonly number[], n: number): Statistic {
  return (order) => {
    let [first, second] = [0, 0];
    for (const [i, slide] of order.entries())
      if (i < n) first += apart[slide]! ** 2 / n;
      else second += apart[slide]! ** 2 / (order.length - n);
    return Math.abs(Math.log((second + TINY) / (first + TINY)));
  };
}

/** The part of all ways to divide the slides at random that differ at least as much as the two times do. */
function chanceOf(statistic: Statistic, slides: number, seed: number): number {
  const order = Int32Array.from({ length: slides }, (_, i) => i);
  // What differs only by rounding does not differ.
  const found = statistic(order) - TINY;
  const random = generator(seed);
  let asLarge = 1;
  for (let i = 0; i < PERMUTATIONS; i++) {
    shuffle(order, random);
    if (statistic(order) >= found) asLarge++;
  }
  return asLarge / (PERMUTATIONS + 1);
}
