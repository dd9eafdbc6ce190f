/** How much haematoxylin and eosin a pixel has: colour deconvolution (Ruifrok and Johnston 2001). */
import { dot } from './linear.ts';

type Triple = readonly [number, number, number];

/**
 * Optical densities of R, G, B of each stain alone, as published. They are the same for every slide, so that amounts
 * before and after a normalisation have one scale.
 */
export const HAEMATOXYLIN: Triple = [0.65, 0.7, 0.29];
export const EOSIN: Triple = [0.07, 0.99, 0.11];

const COSINE = dot(HAEMATOXYLIN, EOSIN);
const LENGTHS = { haematoxylin: dot(HAEMATOXYLIN, HAEMATOXYLIN), eosin: dot(EOSIN, EOSIN) };
const DETERMINANT = LENGTHS.haematoxylin * LENGTHS.eosin - COSINE ** 2;

/** Factors of the two vectors. */
export interface StainAmounts {
  readonly haematoxylin: number;
  readonly eosin: number;
}

/** The non-negative least squares of a pixel on both vectors. @param density optical density of R, G, B */
export function stainAmounts(density: Triple): StainAmounts {
  const [h, e] = [dot(density, HAEMATOXYLIN), dot(density, EOSIN)];
  const haematoxylin = (LENGTHS.eosin * h - COSINE * e) / DETERMINANT;
  const eosin = (LENGTHS.haematoxylin * e - COSINE * h) / DETERMINANT;
  if (haematoxylin < 0) return { haematoxylin: 0, eosin: Math.max(0, e / LENGTHS.eosin) };
  if (eosin < 0) return { haematoxylin: Math.max(0, h / LENGTHS.haematoxylin), eosin: 0 };
  return { haematoxylin, eosin };
}
