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

/**
 * Coefficients for one slide. A class that hardly occurs on either side gets the transfer of all well
 * occupied classes pooled, so that its pixels move with their surroundings instead of by noise.
 *
 * @param source K classes of the slide; @param template K classes of the template, same model, same order
 */
export function transferCoefficients(
  source: readonly ClassStatistics[],
  template: readonly ClassStatistics[],
  fade: Fade,
): TransferCoefficients {
  const notes: string[] = [];
  const usable = source.map(
    ({ share }, k) => share >= MINIMUM_CLASS_SHARE && template[k]!.share >= MINIMUM_CLASS_SHARE,
  );
  const pooledSource = pooledStatistics(source.filter((_, k) => usable[k]));
  const pooledTemplate = pooledStatistics(template.filter((_, k) => usable[k]));
  const scale = new Float32Array(source.length * 3);
  const offset = new Float32Array(source.length * 3);
  for (let k = 0; k < source.length; k++) {
    const from = usable[k] ? source[k]! : pooledSource;
    const to = usable[k] ? template[k]! : pooledTemplate;
    if (!usable[k]) notes.push(`Class ${k} is nearly absent; its pixels follow the other classes.`);
    for (const c of [0, 1, 2] as const) {
      const wanted = to.sd[c] / from.sd[c];
      const bounded = Math.min(SCALE_LIMITS[1], Math.max(SCALE_LIMITS[0], wanted));
      if (bounded !== wanted && usable[k]) notes.push(`Class ${k}: contrast change ${wanted.toFixed(2)} was limited to ${bounded}.`);
      scale[k * 3 + c] = bounded;
      offset[k * 3 + c] = to.mean[c] - from.mean[c] * bounded;
    }
  }
  return { scale, offset, fade: [fade.low, fade.high], notes };
}
