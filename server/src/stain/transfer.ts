/**
 * From the statistics of a slide and of a template to the numbers the apply graph needs.
 *
 * Transfer of the paper: x' = sum_k g_k ((x - mu_k) / sd_k * sdT_k + muT_k), which per class and channel is
 * one multiply-add: scale = sdT / sd, offset = muT - mu * scale. What the paper leaves out is guarded here.
 * scripts/dcgmm/transfer.py is the same in Python, held to this by vectors (test/stain/transfer.test.ts).
 */
import type { ClassStatistics } from '../normalization/types.ts';

/** A class with less than this share of the pixels, in slide or template, has no statistics worth using. */
export const MINIMUM_CLASS_SHARE = 0.005;
/** Contrast of D within a class may grow or shrink by this factor and no more. Chroma is moved and never scaled: its
 * spread says what the tissue holds, and a slide of one colour must not be streaked with those of the template. */
export const CONTRAST_LIMITS = [0.4, 2.5] as const;

/** Pixels up to `low` optical density stay as they are; from `high` on they are fully normalised. */
export interface Fade {
  readonly low: number;
  readonly high: number;
}

export interface TransferCoefficients {
  /** K x 3 float32 values, channel order D, cx, cy. */
  readonly scale: Float32Array;
  readonly offset: Float32Array;
  readonly fade: readonly [number, number];
  /** What was guarded, in sentences. */
  readonly notes: readonly string[];
}

/** Distance in optical density from what stays as it is to what is fully moved. */
const FADE_ABOVE = { low: 0.02, high: 0.08 } as const;

/**
 * Glass up to the first density is white and kept; from the second on it is tinted or under-exposed, as in pictures
 * of a microscope camera, and normalised with the rest; between, in part. Whole-slide scanners correct for white:
 * theirs is 0.02 to 0.06.
 */
const KEPT_GLASS = { surely: 0.06, never: 0.1 } as const;

/** 1 where the glass of a slide stays as it is, 0 where it is moved onto the template's. */
function keptGlass(glassDensity: number): number {
  const { surely, never } = KEPT_GLASS;
  return Math.min(1, Math.max(0, (never - glassDensity) / (never - surely)));
}

/** The fade of a slide whose empty glass has the optical density `glassDensity`. */
export function fadeOf(glassDensity: number): Fade {
  const kept = keptGlass(glassDensity) * glassDensity;
  return { low: kept + FADE_ABOVE.low, high: kept + FADE_ABOVE.high };
}

/** The stain of a slide or of a template. */
export interface Stain {
  /** K classes in the order of the model: from dense to pale. */
  readonly classes: readonly ClassStatistics[];
  /** Optical density of the empty glass. */
  readonly glassDensity: number;
}

/** How far the densities of the tissue's classes follow one change for all of them instead of each its own. */
const COMMON_CHANGE = 0.75;
/** Least optical density above the glass that a ratio of stain strengths is formed with. */
const LEAST_STRENGTH = 0.02;
/** Part of its density above the glass, or of the template's if that is less, that every class of tissue keeps. */
const LEAST_REMAINING = 1 / 3;
/** The end of a class that meets the template's, in standard deviations of cx from its mean. */
const PURE_END = 0.5;

/**
 * What scales D of `from` to that of `to`: the geometric mean of two answers. The deviations' ratio alone takes a slide
 * of one tissue for one of poor contrast and streaks it; the ratio of the mean densities above the glass is what a
 * stronger stain does (Beer and Lambert), but knows nothing of haze, in which the deviations are all that shrinks.
 *
 * @param glass optical density of the empty glass of both
 */
function wantedContrast(
  from: ClassStatistics,
  to: ClassStatistics,
  glass: { readonly from: number; readonly to: number },
): number {
  const strength = (item: ClassStatistics, glassDensity: number): number =>
    Math.max(LEAST_STRENGTH, item.mean[0] - glassDensity);
  const strengths = strength(to, glass.to) / strength(from, glass.from);
  return Math.sqrt((to.sd[0] / from.sd[0]) * strengths);
}

/** cx of a class where it is most of one stain: haematoxylin, which absorbs red, or eosin, which does not. */
function pureEnd(item: ClassStatistics, stain: 'haematoxylin' | 'eosin' | 'none'): number {
  const direction = { haematoxylin: 1, eosin: -1, none: 0 }[stain];
  return item.mean[1] + direction * PURE_END * item.sd[1];
}

/** Share, mean and standard deviation of several classes taken together, each counted by its weight. */
function pooled(classes: readonly ClassStatistics[], weights: readonly number[]): ClassStatistics {
  const share = weights.reduce((sum, weight) => sum + weight, 0);
  const average = (value: (item: ClassStatistics) => number): number =>
    classes.reduce((sum, item, i) => sum + weights[i]! * value(item), 0) / share;
  const moments = ([0, 1, 2] as const).map((c) => {
    const mean = average((item) => item.mean[c]);
    return { mean, sd: Math.sqrt(average((item) => item.sd[c] ** 2 + (item.mean[c] - mean) ** 2)) };
  });
  const [d, cx, cy] = moments as [(typeof moments)[0], (typeof moments)[0], (typeof moments)[0]];
  return { share, mean: [d.mean, cx.mean, cy.mean], sd: [d.sd, cx.sd, cy.sd] };
}

/** The classes, the palest of tissue taken together with the part of the glass that is moved as tissue. */
function withGlass(classes: readonly ClassStatistics[], moved: number): ClassStatistics[] {
  const [pale, glass] = classes.slice(-2) as [ClassStatistics, ClassStatistics];
  const weights = [pale.share, glass.share * moved];
  if (weights[0] === 0 && weights[1] === 0) return [...classes];
  return [...classes.slice(0, -2), pooled([pale, glass], weights), glass];
}

/**
 * Coefficients for one slide.
 *
 * A class that hardly occurs on either side has no statistics worth using: its pixels move as those of the nearest
 * class that does occur, the paler one of two as near. Where none occurs on both sides nothing is moved.
 *
 * Glass that is kept must meet the pale end of the tissue: densities are then matched above the glass of each side.
 * Glass that is moved is the pale end of the tissue: it is counted and moved with its palest class, becomes as bright
 * as the template's and never darker than it was.
 *
 * The density of each class is drawn towards one change for all tissue (COMMON_CHANGE): classes moved each by its own
 * numbers may draw apart what belongs together, and edges between them turn hard.
 *
 * Chroma is moved so that the pure end of each class meets the template's (PURE_END): what a class holds besides its
 * stain, such as cytoplasm beside muscle, differs between slides of one laboratory; its purest pixels hardly do.
 *
 * @param classNames K >= 2 names: those of nuclei, then everything eosin takes, glass last
 */
export function transferCoefficients(
  source: Stain,
  template: Stain,
  classNames: readonly string[],
): TransferCoefficients {
  const notes: string[] = [];
  const kept = keptGlass(source.glassDensity);
  const difference = source.glassDensity - template.glassDensity;
  const shift = kept * difference + (1 - kept) * Math.min(0, difference);
  const glass = { from: source.glassDensity, to: template.glassDensity };
  const from = withGlass(source.classes, 1 - kept);
  const to = withGlass(template.classes, 1 - kept);
  const count = from.length;
  const isUsable = (k: number): boolean =>
    from[k]!.share >= MINIMUM_CLASS_SHARE && to[k]!.share >= MINIMUM_CLASS_SHARE;
  const usable = Array.from({ length: count }, (_, k) => k).filter(isUsable);
  const tissue = usable.filter((k) => k < count - 1);
  const common = tissue.length > 0 ? commonChange(from, to, tissue, glass) : undefined;
  const scale = new Float64Array(count * 3).fill(1);
  const offset = new Float64Array(count * 3);
  for (let k = 0; k < count; k++) {
    const lender = usable.toSorted((a, b) => Math.abs(a - k) - Math.abs(b - k) || b - a)[0];
    if (lender !== k && (k < count - 1 || kept > 0))
      notes.push(
        lender === undefined
          ? `The class "${classNames[k]}" is nearly absent here or in the template; its pixels stay as they are.`
          : `The class "${classNames[k]}" is nearly absent here or in the template; its pixels move with the class "${classNames[lender]}".`,
      );
    if (lender === undefined) continue;
    const [own, target] = [from[lender]!, to[lender]!];
    const wanted = lender < count - 1 ? wantedContrast(own, target, glass) : target.sd[0] / own.sd[0];
    let contrast = bounded(wanted);
    let density = target.mean[0];
    if (contrast !== wanted && lender === k)
      notes.push(`The contrast of the class "${classNames[k]}" was changed within limits only.`);
    if (common && lender < count - 1) {
      contrast += COMMON_CHANGE * (common.contrast - contrast);
      density += COMMON_CHANGE * (common.density(own.mean[0]) - density);
      const strength = Math.min(own.mean[0] - glass.from, target.mean[0] - glass.to);
      if (strength > 0) density = Math.max(density, glass.to + LEAST_REMAINING * strength);
    }
    const stain = lender < count - 2 ? 'haematoxylin' : lender < count - 1 ? 'eosin' : 'none';
    scale[k * 3] = contrast;
    offset[k * 3] = density + shift - own.mean[0] * contrast;
    offset[k * 3 + 1] = pureEnd(target, stain) - pureEnd(own, stain);
    offset[k * 3 + 2] = target.mean[2] - own.mean[2];
  }
  for (const values of [scale, offset])
    for (let at = values.length - 3; at < values.length; at++)
      values[at] = kept * values[at]! + (1 - kept) * values[at - 3]!;
  const { low, high } = fadeOf(source.glassDensity);
  return { scale: Float32Array.from(scale), offset: Float32Array.from(offset), fade: [low, high], notes };
}

/** The change of D that moves all tissue taken together onto the template's. */
function commonChange(
  from: readonly ClassStatistics[],
  to: readonly ClassStatistics[],
  tissue: readonly number[],
  glass: { readonly from: number; readonly to: number },
): { readonly contrast: number; density(value: number): number } {
  const together = (classes: readonly ClassStatistics[]): ClassStatistics =>
    pooled(
      tissue.map((k) => classes[k]!),
      tissue.map((k) => classes[k]!.share),
    );
  const [source, target] = [together(from), together(to)];
  const contrast = bounded(wantedContrast(source, target, glass));
  return { contrast, density: (value) => target.mean[0] + (value - source.mean[0]) * contrast };
}

function bounded(contrast: number): number {
  const [least, most] = CONTRAST_LIMITS;
  return Math.min(most, Math.max(least, contrast));
}
