/** The stain of a slide in the few figures that an acceptance compares: how nuclei and stroma absorb. */
import { z } from 'zod';
import { ciede2000, type Lab, labOf } from '../../../core/src/stain/ciede2000.ts';
import { nucleiTogether } from '../../../core/src/stain/linear.ts';
import { occurs, type Stain } from '../../../core/src/stain/stain.ts';

const triple = z.tuple([z.number(), z.number(), z.number()]);

const classFigures = z
  .strictObject({
    /** Part of the pixels, 0 to 1. */
    share: z.number(),
    /** Mean and standard deviation of the optical density of R, G, B (natural logarithm) within the slide. */
    mean: triple,
    sd: triple,
  })
  .readonly();

export const stainFigures = z
  .strictObject({
    /** Null if the slide shows hardly any. */
    nuclei: classFigures.nullable(),
    /** Stroma and cytoplasm: what eosin stains. */
    stroma: classFigures.nullable(),
    glassDensity: z.number(),
  })
  .readonly();

type ClassFigures = z.infer<typeof classFigures>;
export type StainFigures = z.infer<typeof stainFigures>;

/** CIEDE2000 between the mean colours of both classes; null where a class is missing on one side. */
export interface ColourDistance {
  readonly nuclei: number | null;
  readonly stroma: number | null;
}

export function figuresOf({
  densities,
  glassDensity,
}: Pick<Stain, 'densities' | 'glassDensity'>): StainFigures {
  const [nuclei, stroma] = nucleiTogether(densities).map((item): ClassFigures | null => {
    if (!occurs(item)) return null;
    const [r, g, b] = item.covariance.map((row, c) => Math.sqrt(Math.max(0, row[c]!)));
    return { share: item.share, mean: [...item.mean], sd: [r!, g!, b!] };
  });
  return { nuclei: nuclei ?? null, stroma: stroma ?? null, glassDensity };
}

/** How far the colours of two stains are apart. */
export function colourDistance(a: StainFigures, b: StainFigures): ColourDistance {
  const between = (one: ClassFigures | null, other: ClassFigures | null): number | null =>
    one && other ? ciede2000(labOfDensity(one.mean), labOfDensity(other.mean)) : null;
  return { nuclei: between(a.nuclei, b.nuclei), stroma: between(a.stroma, b.stroma) };
}

/** CIELAB of the colour that absorbs like this. @param density optical density of R, G, B */
export function labOfDensity(density: readonly number[]): Lab {
  const [r, g, b] = density.map((value) => Math.min(255, Math.max(0, Math.round(255 * Math.exp(-value)))));
  return labOf(r!, g!, b!);
}
