/** The stain of a slide or of a template, and what both transfers ask of it. */
import type { ClassStatistics, DensityStatistics } from '../normalization/types.ts';
import constants from './transfer-constants.json' with { type: 'json' };

export interface Stain {
  /** K classes in the order of the model: nuclei from dense to pale, then what eosin takes, glass last. */
  readonly classes: readonly ClassStatistics[];
  /** The same classes in optical density, by responsibilities of the slide at the usual strength (`gainOf`). */
  readonly densities: readonly DensityStatistics[];
  /** Optical density of the empty glass. */
  readonly glassDensity: number;
}

/** Pixels up to `low` optical density stay as they are; from `high` on they are tissue, which `paper` moves fully. */
export interface Fade {
  readonly low: number;
  readonly high: number;
}

/**
 * 1 where glass stays as it is, 0 where it is moved. Up to the first density glass is white and kept; from the second on it is
 * tinted or under-exposed, as in pictures of a microscope camera, and moved with the rest; between, in part. Whole-slide
 * scanners correct for white: theirs is 0.02 to 0.06.
 */
export function keptPart(glassDensity: number): number {
  const { surely, never } = constants.keptGlass;
  return Math.min(1, Math.max(0, (never - glassDensity) / (never - surely)));
}

/** The density of glass that stays as it is, 0 where it is moved. */
export function keptGlass(glassDensity: number): number {
  return glassDensity * keptPart(glassDensity);
}

/** The fade of a slide whose empty glass has the optical density `glassDensity`. */
export function fadeOf(glassDensity: number): Fade {
  const { low, high } = constants.fade;
  const kept = keptGlass(glassDensity);
  return { low: kept + low, high: kept + high };
}

/** A class with less of the pixels than this, in slide or template, has no statistics worth using. */
export function occurs({ share }: { readonly share: number }): boolean {
  return share >= constants.minimumClassShare;
}

/** 0 up to 0, 1 from 1 on, 3t^2 - 2t^3 between. */
export function smoothstep(value: number): number {
  const t = Math.min(1, Math.max(0, value));
  return t * t * (3 - 2 * t);
}
