/** The stain of a slide or of a template, and the properties of it that both transfers need. */
import type { ClassStatistics, DensityStatistics } from './class-statistics.ts';
import constants from './transfer-constants.json' with { type: 'json' };

export interface Stain {
  /** K classes in the model's order: nuclei from dense to pale, then what eosin stains, glass last. */
  readonly classes: readonly ClassStatistics[];
  /** The same classes in optical density, by responsibilities of the slide at the usual strength (`gainOf`). */
  readonly densities: readonly DensityStatistics[];
  /** Optical density of the empty glass. */
  readonly glassDensity: number;
}

/**
 * Pixels up to `low` optical density stay unchanged; from `high` on they are tissue, to which `paper` applies in full.
 */
export interface Fade {
  readonly low: number;
  readonly high: number;
}

/**
 * 1 if glass stays unchanged, 0 if it is mapped. Up to the first density glass is white and kept. From the second on it
 * is tinted or under-exposed, as in pictures from a microscope camera, and mapped with the rest; in between, partly.
 * Whole-slide scanners correct for white: their glass has 0.02 to 0.06.
 */
export function keptPart(glassDensity: number): number {
  const { surely, never } = constants.keptGlass;
  return Math.min(1, Math.max(0, (never - glassDensity) / (never - surely)));
}

/** The density of glass that stays unchanged; 0 if glass is mapped. */
export function keptGlass(glassDensity: number): number {
  return glassDensity * keptPart(glassDensity);
}

/** The fade for a slide whose empty glass has the optical density `glassDensity`. */
export function fadeOf(glassDensity: number): Fade {
  const { low, high } = constants.fade;
  const kept = keptGlass(glassDensity);
  return { low: kept + low, high: kept + high };
}

/** A class with a smaller share of the pixels, in slide or template, has no usable statistics. */
export function occurs({ share }: { readonly share: number }): boolean {
  return share >= constants.minimumClassShare;
}

/** 0 up to 0, 1 from 1 on, and 3t^2 - 2t^3 in between. */
export function smoothstep(value: number): number {
  const t = Math.min(1, Math.max(0, value));
  return t * t * (3 - 2 * t);
}
