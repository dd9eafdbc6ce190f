/**
 * How unlike the H&E of the training a slide's stain is. A slide of another stain must be reported, not silently
 * recoloured: the classes would still be found and moved, because the network sees no colour.
 */
import type { ClassStatistics } from '../normalization/types.ts';
import { MINIMUM_CLASS_SHARE } from './transfer.ts';

/** The stains a model was trained on, and simulated changes of them: a normal distribution of chroma (manifest.json). */
export interface TypicalStain {
  /** Mean cx and cy of every class but the last, glass: 2 (K - 1) numbers, class by class. */
  readonly mean: readonly number[];
  readonly covariance: readonly (readonly number[])[];
  /** Distance of the 99th percentile of the training. */
  readonly limit: number;
}

export interface OutOfDistribution {
  /** Above 1 the slide is unlike the training; 0 is its middle. */
  readonly score: number;
  /** Why it is above 1, in sentences; empty otherwise. */
  readonly reasons: readonly string[];
}

/** Part of the tissue in colours that H&E does not have, from which on a slide counts as something else or inked. */
const MUCH_FOREIGN = 0.05;

/** How a colour looks whose chroma is larger or smaller: cx is more where red is absorbed more, cy where green is rather than blue. */
const TONES = {
  cx: { more: 'bluer', less: 'redder' },
  cy: { more: 'more purple', less: 'browner or yellower' },
} as const;

/** Standard deviations from which on one class is named. Below, only its company is unusual. */
const CLEARLY_UNUSUAL = 2;

/**
 * The larger of two parts: Mahalanobis distance of the chroma of the classes that occur (root of its mean square over
 * the numbers compared, so that 1 is usual whatever their count) over the limit of the training; and the part of the
 * tissue in foreign colours over 5 %.
 *
 * @param foreignFraction part of the tissue that the statistics graph left out as no colour of H&E, 0 to 1
 */
export function outOfDistribution(
  classes: readonly ClassStatistics[],
  foreignFraction: number,
  typical: TypicalStain,
  classNames: readonly string[],
): OutOfDistribution {
  const compared: { class: number; channel: keyof typeof TONES; at: number; value: number }[] = [];
  for (let k = 0; k < typical.mean.length / 2; k++) {
    const { share, mean } = classes[k]!;
    if (share < MINIMUM_CLASS_SHARE) continue;
    compared.push({ class: k, channel: 'cx', at: 2 * k, value: mean[1] });
    compared.push({ class: k, channel: 'cy', at: 2 * k + 1, value: mean[2] });
  }
  const deviation = compared.map(({ at, value }) => value - typical.mean[at]!);
  const covariance = compared.map(({ at }) =>
    compared.map(({ at: other }) => typical.covariance[at]![other]!),
  );
  const solved = solve(covariance, deviation);
  const square = deviation.reduce((sum, d, i) => sum + d * solved[i]!, 0);
  const colour = compared.length ? Math.sqrt(Math.max(0, square) / compared.length) / typical.limit : 0;
  const foreign = foreignFraction / MUCH_FOREIGN;
  const reasons: string[] = [];
  if (foreign > 1)
    reasons.push(
      `${(100 * foreignFraction).toFixed(0)} % of the tissue has a colour that haematoxylin and eosin do not give (ink, or another stain); it was left as it is.`,
    );
  if (colour > 1) {
    const [worst] = compared
      .map(({ class: k, channel, at }, i) => ({
        k,
        tone: TONES[channel][deviation[i]! > 0 ? 'more' : 'less'],
        size: Math.abs(deviation[i]!) / Math.sqrt(typical.covariance[at]![at]!),
      }))
      .sort((a, b) => b.size - a.size);
    const { k, tone, size } = worst!;
    const what =
      size > CLEARLY_UNUSUAL
        ? `${classNames[k]} are ${tone} than usual`
        : 'its parts are each stained as usual, but not together in one slide';
    reasons.push(
      `The colours are unlike the H&E slides that the model was trained on: ${what}. Is this an H&E slide?`,
    );
  }
  return { score: Math.max(colour, foreign), reasons };
}

/** x of A x = b for a symmetric positive definite A (a covariance), by Cholesky factors. */
function solve(a: readonly (readonly number[])[], b: readonly number[]): number[] {
  const n = b.length;
  const l = a.map((row) => row.map(() => 0));
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = a[i]![j]!;
      for (let k = 0; k < j; k++) sum -= l[i]![k]! * l[j]![k]!;
      l[i]![j] = i === j ? Math.sqrt(sum) : sum / l[j]![j]!;
    }
  const y: number[] = [];
  for (let i = 0; i < n; i++) {
    let sum = b[i]!;
    for (let k = 0; k < i; k++) sum -= l[i]![k]! * y[k]!;
    y.push(sum / l[i]![i]!);
  }
  const x = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let sum = y[i]!;
    for (let k = i + 1; k < n; k++) sum -= l[k]![i]! * x[k]!;
    x[i] = sum / l[i]![i]!;
  }
  return x;
}
