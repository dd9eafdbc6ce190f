/**
 * From the statistics of a slide and of a template to the numbers the apply graph needs.
 *
 * Transfer of the paper: x' = sum_k g_k ((x - mu_k) / sd_k * sdT_k + muT_k), which per class and channel is
 * one multiply-add: scale = sdT / sd, offset = muT - mu * scale. What the paper leaves out is guarded here.
 */
import type { ClassStatistics } from '../normalization/types.ts';
import { pooledStatistics } from './statistics.ts';

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

/** Distance in optical density from the glass up to which a pixel is left alone, and where it is fully moved. */
const FADE_ABOVE_GLASS = { low: 0.02, high: 0.08 } as const;

/** The fade of a slide whose empty glass has the optical density `glassDensity`. */
export function fadeAbove(glassDensity: number): Fade {
  return { low: glassDensity + FADE_ABOVE_GLASS.low, high: glassDensity + FADE_ABOVE_GLASS.high };
}

/** The stain of a slide or of a template. */
export interface Stain {
  /** K classes in the order of the model. */
  readonly classes: readonly ClassStatistics[];
  /** Optical density of the empty glass. */
  readonly glassDensity: number;
}

/**
 * Coefficients for one slide. A class that hardly occurs on either side gets the transfer of all well
 * occupied classes pooled, so that its pixels move with their surroundings instead of by noise.
 *
 * Densities are matched above the glass of each side: the glass stays as it is, so the pale end of the tissue
 * must go on to meet it, however bright the template's glass was scanned.
 */
export function transferCoefficients(
  source: Stain,
  template: Stain,
  classNames: readonly string[],
  fade: Fade,
): TransferCoefficients {
  const notes: string[] = [];
  const isUsable = (k: number): boolean =>
    source.classes[k]!.share >= MINIMUM_CLASS_SHARE && template.classes[k]!.share >= MINIMUM_CLASS_SHARE;
  const pooled = ({ classes }: Stain): ClassStatistics =>
    pooledStatistics(classes.filter((_, k) => isUsable(k)));
  const shift = [source.glassDensity - template.glassDensity, 0, 0] as const;
  const scale = new Float32Array(source.classes.length * 3);
  const offset = new Float32Array(source.classes.length * 3);
  for (let k = 0; k < source.classes.length; k++) {
    const from = isUsable(k) ? source.classes[k]! : pooled(source);
    const to = isUsable(k) ? template.classes[k]! : pooled(template);
    if (!isUsable(k))
      notes.push(`The class "${classNames[k]}" is nearly absent; its pixels follow the other classes.`);
    let limited = false;
    for (const c of [0, 1, 2] as const) {
      const wanted = to.sd[c] / from.sd[c];
      const bounded = Math.min(SCALE_LIMITS[1], Math.max(SCALE_LIMITS[0], wanted));
      limited ||= bounded !== wanted;
      scale[k * 3 + c] = bounded;
      offset[k * 3 + c] = to.mean[c] + shift[c] - from.mean[c] * bounded;
    }
    if (limited && isUsable(k))
      notes.push(`The contrast of the class "${classNames[k]}" was changed within limits only.`);
  }
  return { scale, offset, fade: [fade.low, fade.high], notes };
}
