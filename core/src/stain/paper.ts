/**
 * The transfer as published (Zanjani et al. 2018): x' = sum_k g_k ((x - mu_k) / sd_k sdT_k + muT_k). Per class and
 * channel this is one multiply-add: scale = sdT / sd, offset = muT - mu scale. scripts/dcgmm/transfer.py is the same in
 * Python.
 */
import { noteText } from '../notes.ts';
import { bluenessOf } from './blueness.ts';
import { fadeOf, occurs, type Stain } from './stain.ts';

export interface PaperCoefficients {
  /** K x 3 float32 values, channel order D, cx, cy. */
  readonly scale: Float32Array;
  readonly offset: Float32Array;
  readonly fade: readonly [number, number];
  /** Of the slide (`bluenessOf`). */
  readonly blueness: number;
}

/**
 * Coefficients for one slide. A class that hardly occurs on one of the sides has no reliable numbers: its pixels are
 * mapped with the nearest class that does, the paler one in a tie. If no class occurs on both sides, nothing changes.
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
    const donor = usable.toSorted((a, b) => Math.abs(a - k) - Math.abs(b - k) || b - a)[0];
    const name = String(classNames[k]);
    if (donor === undefined) {
      notes.push(noteText('CLASS_LEFT_ALONE', { class: name }));
      continue;
    }
    if (donor !== k)
      notes.push(noteText('CLASS_MOVED_WITH_ANOTHER', { class: name, other: String(classNames[donor]) }));
    const [own, target] = [source.classes[donor]!, template.classes[donor]!];
    for (const c of [0, 1, 2] as const) {
      const ratio = target.sd[c] / own.sd[c];
      scale[k * 3 + c] = ratio;
      offset[k * 3 + c] = target.mean[c] - own.mean[c] * ratio;
    }
  }
  const { low, high } = fadeOf(source.glassDensity);
  return { scale, offset, fade: [low, high], blueness: bluenessOf(source), notes };
}
