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
/** Contrast within a class may grow or shrink by this factor and no more: noise must not become colour. */
export const SCALE_LIMITS = [0.4, 2.5] as const;

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

/**
 * Coefficients for one slide.
 *
 * A class that hardly occurs on either side has no statistics worth using: its pixels move as those of the nearest
 * class that does occur, the paler one of two as near. Where none occurs on both sides nothing is moved.
 *
 * Glass that is kept must meet the pale end of the tissue: densities are then matched above the glass of each side.
 * Glass that is moved becomes as bright as the template's, and never darker than it was.
 */
export function transferCoefficients(
  source: Stain,
  template: Stain,
  classNames: readonly string[],
): TransferCoefficients {
  const notes: string[] = [];
  const count = source.classes.length;
  const isUsable = (k: number): boolean =>
    source.classes[k]!.share >= MINIMUM_CLASS_SHARE && template.classes[k]!.share >= MINIMUM_CLASS_SHARE;
  const usable = Array.from({ length: count }, (_, k) => k).filter(isUsable);
  const difference = source.glassDensity - template.glassDensity;
  const kept = keptGlass(source.glassDensity);
  const shift = [kept * difference + (1 - kept) * Math.min(0, difference), 0, 0] as const;
  const scale = new Float32Array(count * 3).fill(1);
  const offset = new Float32Array(count * 3);
  for (let k = 0; k < count; k++) {
    const lender = usable.toSorted((a, b) => Math.abs(a - k) - Math.abs(b - k) || b - a)[0];
    if (lender !== k)
      notes.push(
        lender === undefined
          ? `The class "${classNames[k]}" is nearly absent here or in the template; its pixels stay as they are.`
          : `The class "${classNames[k]}" is nearly absent here or in the template; its pixels move with the class "${classNames[lender]}".`,
      );
    if (lender === undefined) continue;
    const [from, to] = [source.classes[lender]!, template.classes[lender]!];
    let limited = false;
    for (const c of [0, 1, 2] as const) {
      const wanted = to.sd[c] / from.sd[c];
      const bounded = Math.min(SCALE_LIMITS[1], Math.max(SCALE_LIMITS[0], wanted));
      limited ||= bounded !== wanted;
      scale[k * 3 + c] = bounded;
      offset[k * 3 + c] = to.mean[c] + shift[c] - from.mean[c] * bounded;
    }
    if (limited && lender === k)
      notes.push(`The contrast of the class "${classNames[k]}" was changed within limits only.`);
  }
  const { low, high } = fadeOf(source.glassDensity);
  return { scale, offset, fade: [low, high], notes };
}
