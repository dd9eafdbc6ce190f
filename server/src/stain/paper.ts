/**
 * The transfer as published (Zanjani et al. 2018): x' = sum_k g_k ((x - mu_k) / sd_k sdT_k + muT_k), which per class and
 * channel is one multiply-add: scale = sdT / sd, offset = muT - mu scale. scripts/dcgmm/transfer.py is the same in Python.
 */
import { fadeOf, occurs, type Stain } from './stain.ts';

export interface PaperCoefficients {
  /** K x 3 float32 values, channel order D, cx, cy. */
  readonly scale: Float32Array;
  readonly offset: Float32Array;
  readonly fade: readonly [number, number];
}

/**
 * Coefficients for one slide. A class that hardly occurs on either side has no such numbers: its pixels move as those of the
 * nearest class that does, the paler one of two as near. Where none occurs on both sides nothing is moved.
 *
 * @param classNames K names
 * @returns notes: which classes were missing, in sentences
 */
export function paperCoefficients(
  source: Stain,
  template: Stain,
  classNames: readonly string[],
): PaperCoefficients & { readonly notes: readonly string[] } {
  const count = source.classes.length;
  const usable = Array.from({ length: count }, (_, k) => k).filter(
    (k) => occurs(source.classes[k]!) && occurs(template.classes[k]!),
  );
  const notes: string[] = [];
  const scale = new Float32Array(count * 3).fill(1);
  const offset = new Float32Array(count * 3);
  for (let k = 0; k < count; k++) {
    const lender = usable.toSorted((a, b) => Math.abs(a - k) - Math.abs(b - k) || b - a)[0];
    if (lender !== k)
      notes.push(
        `The class "${classNames[k]}" is nearly absent here or in the template; its pixels ${
          lender === undefined ? 'stay as they are' : `move with the class "${classNames[lender]}"`
        }.`,
      );
    if (lender === undefined) continue;
    const [own, target] = [source.classes[lender]!, template.classes[lender]!];
    for (const c of [0, 1, 2] as const) {
      const ratio = target.sd[c] / own.sd[c];
      scale[k * 3 + c] = ratio;
      offset[k * 3 + c] = target.mean[c] - own.mean[c] * ratio;
    }
  }
  const { low, high } = fadeOf(source.glassDensity);
  return { scale, offset, fade: [low, high], notes };
}
