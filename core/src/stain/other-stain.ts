/**
 * Whether a slide is H&E, by the distribution of its colours. Any other slide must not be made to look like H&E: the
 * network sees no colour, finds its classes in any stain and would normalise it. A small network
 * (scripts/stains/train.py) judges the summary; its numbers, and the limits for noting and refusing a slide, are in
 * other-stain.json.
 */
import { type NoteCode, noteText } from '../notes.ts';
import { CHROMA_GRID, type ColourSummary, partsOf } from './colour-summary.ts';
import detector from './other-stain.json' with { type: 'json' };

/** `unsure` is noted, `other` is refused. */
export type StainVerdict = 'he' | 'unsure' | 'other';

export interface OutOfDistribution {
  readonly verdict: StainVerdict;
  /** Confidence that the slide is not H&E, 0 to 1. */
  readonly score: number;
  /** What was seen, in sentences; empty for H&E. */
  readonly reasons: readonly string[];
}

/** Fraction of the tissue with colours foreign to H&E from which on a slide is noted: ink, or another stain. */
const MUCH_FOREIGN = 0.05;

/**
 * @param isWhiteKnown whether the colours are relative to the light; otherwise a tint of the light cannot be recognised
 * @param foreignFraction fraction of the tissue that the statistics graph left out because its colour is foreign to
 * H&E, 0 to 1
 */
export function judgeStain(
  summary: ColourSummary,
  isWhiteKnown: boolean,
  foreignFraction: number,
): OutOfDistribution {
  const score = scoreOf(summary, isWhiteKnown);
  const { limits } = detector;
  const foreign =
    foreignFraction > MUCH_FOREIGN ? [noteText('FOREIGN_COLOUR', { share: foreignFraction })] : [];
  if (score > limits.other) return { verdict: 'other', score, reasons: [...describe(summary), ...foreign] };
  const unsure = [
    ...(score > limits.unsure ? [...describe(summary), noteText('PERHAPS_NOT_HE')] : []),
    ...(isEosinAlone(summary) ? [noteText('EOSIN_ALONE')] : []),
    ...foreign,
  ];
  return { verdict: unsure.length > 0 ? 'unsure' : 'he', score, reasons: unsure };
}

/** 0 to 1; 0 for an empty summary. */
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

/**
 * Colours by chroma at the nodes of the grid: cx increases with absorption of red, cy with absorption of green relative
 * to blue.
 */
const PINK: Where = (cx, cy) => cx < -0.3 && cy > 0.15;
const VIOLET: Where = (cx, cy) => cx >= -0.4 && cx < 0.35 && cy > 0.12;
const FOREIGN: readonly [Where, NoteCode][] = [
  [(cx, cy) => (cx < 0.1 && cy < -0.1) || (cx > -0.4 && cx < -0.1 && cy < 0.1), 'TISSUE_BROWN'],
  [(cx, cy) => cx < -0.4 && cy >= -0.1 && cy < 0.1, 'TISSUE_ORANGE'],
  [(cx, cy) => cx >= 0.4 && cy >= 0.25, 'TISSUE_BLUE'],
  [(cx, cy) => cx >= 0.35 && cy < 0.25, 'TISSUE_GREEN'],
  [(cx, cy) => Math.abs(cx) < 0.1 && Math.abs(cy) < 0.1, 'TISSUE_GREY'],
  [(cx, cy) => cx > -0.8 && cx < -0.3 && cy > 0.9, 'TISSUE_MAGENTA'],
];
/** Fractions of the tissue from which on a colour is named, and below which a colour counts as missing. */
const NAMED = 0.08;
const MISSED = 0.04;

/**
 * By (R - G) / D of optical densities, expressed in chroma: above the limit there is some haematoxylin, below it dense
 * eosin.
 */
const BLUISH: Where = (cx, cy) => 1.5 * cx - (Math.sqrt(3) / 2) * cy > detector.limits.bluish.from;

/** Even the bluest part of the tissue is red: a slide without haematoxylin, or one in which it has faded completely. */
function isEosinAlone(summary: ColourSummary): boolean {
  const { nuclei } = partsOf(summary);
  return sum(nuclei) > 0 && shareOf(nuclei, BLUISH) < detector.limits.bluish.min;
}

/** In a pathologist's words. */
function describe(summary: ColourSummary): string[] {
  const { nuclei, rest } = partsOf(summary);
  const all = nuclei.map((weight, i) => weight + rest[i]!);
  const seen = FOREIGN.map(([where, code]) => ({ code, share: shareOf(all, where) }))
    .filter(({ share }) => share > NAMED)
    .sort((a, b) => b.share - a.share)
    .map(({ code, share }) => noteText(code, { share }));
  if (shareOf(all, PINK) < MISSED) seen.push(noteText('NO_EOSIN'));
  if (shareOf(nuclei, VIOLET) < MISSED) seen.push(noteText('NO_HAEMATOXYLIN'));
  return seen.length > 0 ? seen : [noteText('COLOURS_NOT_HE')];
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

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
