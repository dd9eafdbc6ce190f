/**
 * How blue the slide's own haematoxylin is. Cameras differ, and some show nuclei as blue as pale ink: what is ink is
 * judged against the nuclei of the slide. scripts/dcgmm/transfer.py is the same in Python.
 */
import { nucleiTogether } from './linear.ts';
import { occurs, type Stain } from './stain.ts';
import constants from './transfer-constants.json' with { type: 'json' };

/**
 * By how much more than usual the nuclei absorb red rather than green, relative to their density: 0 on most slides,
 * and bounded, so that much ink in a slide cannot pass itself off as its nuclei.
 */
export function bluenessOf({ densities }: Pick<Stain, 'densities'>): number {
  const nuclei = nucleiTogether(densities)[0]!;
  if (!occurs(nuclei)) return 0;
  const [red, green, blue] = nuclei.mean;
  const { usual, most } = constants.blueness;
  const relative = (3 * (red - green)) / Math.max(red + green + blue, 1e-9);
  return Math.min(most, Math.max(0, relative - usual));
}
