/**
 * Whether a slide is H&E, by where its colours lie. What is not must not be made to look like it: the network sees no colour, finds
 * classes in any stain and would move them. A small network (scripts/stains/train.py) judges the summary; its numbers, and from where on
 * a slide is noted and refused, are in other-stain.json.
 */
import { CHROMA_GRID, type ColourSummary, partsOf } from './colour-summary.ts';
import detector from './other-stain.json' with { type: 'json' };

/** `unsure` is noted, `other` refused. */
export type StainVerdict = 'he' | 'unsure' | 'other';

export interface OutOfDistribution {
  readonly verdict: StainVerdict;
  /** How sure the detector is that the slide is not H&E, 0 to 1. */
  readonly score: number;
  /** What was seen, in sentences; empty for H&E. */
  readonly reasons: readonly string[];
}

/** Part of the tissue in colours that H&E does not have, from which on a slide is noted: ink, or another stain. */
const MUCH_FOREIGN = 0.05;

/**
 * @param isWhiteKnown whether the colours are relative to the light; otherwise a tint of it cannot be told
 * @param foreignFraction part of the tissue that the statistics graph left out as no colour of H&E, 0 to 1
 */
export function judgeStain(
  summary: ColourSummary,
  isWhiteKnown: boolean,
  foreignFraction: number,
): OutOfDistribution {
  const score = scoreOf(summary, isWhiteKnown);
  const { limits } = detector;
  const foreign =
    foreignFraction > MUCH_FOREIGN
      ? [
          `${percent(foreignFraction)} of the tissue has a colour that haematoxylin and eosin do not give (ink, or another stain).`,
        ]
      : [];
  if (score > limits.other) return { verdict: 'other', score, reasons: [...describe(summary), ...foreign] };
  const unsure = [
    ...(score > limits.unsure ? [...describe(summary), 'Is this an H&E slide?'] : []),
    ...(isEosinAlone(summary)
      ? ['Nothing has the colour of haematoxylin: what is dense gets the colour of nuclei, whatever it is.']
      : []),
    ...foreign,
  ];
  return { verdict: unsure.length > 0 ? 'unsure' : 'he', score, reasons: unsure };
}

/** 0 to 1; 0 for a summary of nothing. */
export function scoreOf(summary: ColourSummary, isWhiteKnown: boolean): number {
  if (sum(summary) === 0) return 0;
  const inputs = Object.values(partsOf(summary)).flatMap((part: Float64Array) => {
    const total = sum(part) || 1;
    return Array.from(part, (weight) => Math.sqrt(weight / total));
  });
  inputs.push(isWhiteKnown ? 1 : 0);
  let logit = detector.bias;
  for (const [unit, weights] of detector.hidden.weights.entries()) {
    let activation = detector.hidden.biases[unit]!;
    for (const [i, weight] of weights.entries()) activation += weight * inputs[i]!;
    logit += Math.max(0, activation) * detector.output[unit]!;
  }
  return 1 / (1 + Math.exp(-logit));
}

type Where = (cx: number, cy: number) => boolean;

/** Colours by chroma at the nodes of the grid: cx is larger where red is absorbed more, cy where green is rather than blue. */
const PINK: Where = (cx, cy) => cx < -0.3 && cy > 0.15;
const VIOLET: Where = (cx, cy) => cx >= -0.4 && cx < 0.35 && cy > 0.12;
const FOREIGN: readonly [Where, string][] = [
  [
    (cx, cy) => (cx < 0.1 && cy < -0.1) || (cx > -0.4 && cx < -0.1 && cy < 0.1),
    'is brown or yellow (as DAB, picric acid)',
  ],
  [(cx, cy) => cx < -0.4 && cy >= -0.1 && cy < 0.1, 'is orange or brick red (as AEC, Ponceau, Congo red)'],
  [(cx, cy) => cx >= 0.4 && cy >= 0.25, 'is blue (as aniline blue, Alcian blue, methylene blue)'],
  [(cx, cy) => cx >= 0.35 && cy < 0.25, 'is green (as methyl green, light green)'],
  [
    (cx, cy) => Math.abs(cx) < 0.1 && Math.abs(cy) < 0.1,
    'is grey or black (as silver, or a pale counterstain)',
  ],
  [(cx, cy) => cx > -0.8 && cx < -0.3 && cy > 0.9, 'is magenta (as periodic acid-Schiff)'],
];
/** Part of the tissue from which on a colour is named, and below which one is missed. */
const NAMED = 0.08;
const MISSED = 0.04;

/** By (R - G) / D of optical densities, in terms of chroma: what is above has some haematoxylin, dense eosin is below. */
const BLUISH: Where = (cx, cy) => 1.5 * cx - (Math.sqrt(3) / 2) * cy > detector.limits.bluish.from;

/** Even the bluest part of the tissue is red: a slide without haematoxylin, or one in which it has faded altogether. */
function isEosinAlone(summary: ColourSummary): boolean {
  const { nuclei } = partsOf(summary);
  return sum(nuclei) > 0 && shareOf(nuclei, BLUISH) < detector.limits.bluish.least;
}

/** In a pathologist's words. */
function describe(summary: ColourSummary): string[] {
  const { nuclei, rest } = partsOf(summary);
  const all = nuclei.map((weight, i) => weight + rest[i]!);
  const seen = FOREIGN.map(([where, words]) => ({ words, share: shareOf(all, where) }))
    .filter(({ share }) => share > NAMED)
    .sort((a, b) => b.share - a.share)
    .map(({ words, share }) => `${percent(share)} of the tissue ${words}.`);
  if (shareOf(all, PINK) < MISSED) seen.push('Hardly anything is pink: no eosin is seen.');
  if (shareOf(nuclei, VIOLET) < MISSED) seen.push('Nuclei are not blue or violet: no haematoxylin is seen.');
  return seen.length > 0
    ? seen
    : ['The colours of nuclei and of what lies between them are not those of H&E together.'];
}

function shareOf(weights: Float64Array, where: Where): number {
  const { origin, step, nodes } = CHROMA_GRID;
  const total = sum(weights) || 1;
  return (
    weights.reduce((found, weight, i) => {
      const cx = origin.cx + step * Math.floor(i / nodes.cy);
      const cy = origin.cy + step * (i % nodes.cy);
      return where(cx, cy) ? found + weight : found;
    }, 0) / total
  );
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
