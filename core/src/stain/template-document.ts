/**
 * A template as a document: the class statistics to which slides are normalised, as a JSON file that anybody can read
 * and check.
 */
import { z } from 'zod';
import { plainName, plainText } from './plain-text.ts';

/** Far beyond possible optical densities and chromaticities, but still safe to compute with. */
const figure = z.number().min(-100).max(100);
const triple = z.tuple([figure, figure, figure]);
const share = z.number().min(0).max(1);
const positive = z.number().positive().max(100);

/** Optical densities; 5 is darker than an 8-bit pixel can be. A little below 0 is noise. */
const density = z.number().min(-0.1).max(6);

/** A covariance as measured ones are: equal above and below the diagonal, with no negative variance in any direction. */
const covariance = z
  .tuple([triple, triple, triple])
  .refine(isCovariance, 'must be symmetric and positive semidefinite');

function isCovariance(matrix: readonly (readonly number[])[]): boolean {
  const at = (i: number, j: number): number => matrix[i]![j]!;
  const size = Math.max(...matrix.flat().map(Math.abs));
  const tolerance = 1e-6 * size;
  const pairs = [
    [0, 1],
    [0, 2],
    [1, 2],
  ] as const;
  if (pairs.some(([i, j]) => Math.abs(at(i, j) - at(j, i)) > tolerance)) return false;
  // Every principal minor of such a matrix is 0 or more.
  const minor = (i: number, j: number): number => at(i, i) * at(j, j) - at(i, j) ** 2;
  const determinant =
    at(0, 0) * minor(1, 2) -
    at(0, 1) * (at(0, 1) * at(2, 2) - at(1, 2) * at(0, 2)) +
    at(0, 2) * (at(0, 1) * at(1, 2) - at(1, 1) * at(0, 2));
  return (
    [0, 1, 2].every((i) => at(i, i) >= -tolerance) &&
    pairs.every(([i, j]) => minor(i, j) >= -tolerance * size) &&
    determinant >= -tolerance * size ** 2
  );
}

/** Shares of one mixture. */
function isWhole(classes: readonly { readonly share: number }[]): boolean {
  return Math.abs(classes.reduce((sum, one) => sum + one.share, 0) - 1) <= 0.01;
}
const WHOLE = 'the shares of the classes must add up to 1';

/** Maximum size of a thumbnail. */
const THUMBNAIL_BYTES = 128 * 1024;
const BASE64_CHARACTERS = 4 * Math.ceil(THUMBNAIL_BYTES / 3);

export const templateId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens');

export const templateContent = z.strictObject({
  /** The model whose classes these statistics describe: a template of another model does not fit. */
  model: z.strictObject({
    name: z.string().max(64),
    version: z.string().max(64),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  /** Optical density of the template's glass; `keptGlass` (stain.ts) says what happens to that of a slide. */
  glassDensity: z.number().min(0).max(1),
  classes: z
    .array(
      z.strictObject({
        share,
        mean: triple,
        sd: z.tuple([positive, positive, positive]),
      }),
    )
    .min(2)
    .max(64)
    .refine(isWhole, WHOLE),
  /** The same classes in optical density (stain/linear.ts). */
  densities: z
    .array(
      z.strictObject({
        share,
        mean: z.tuple([density, density, density]),
        covariance,
      }),
    )
    .min(2)
    .max(64)
    .refine(isWhole, WHOLE),
  pixels: z.number().positive(),
});

/** The part that determines the pixels. */
export type TemplateContent = z.infer<typeof templateContent>;

export const templateDocument = z.strictObject({
  schemaVersion: z.literal(2),
  id: templateId,
  name: plainName(80).min(1),
  description: plainText(1000),
  ...templateContent.shape,
  /** JPEG, base64. */
  thumbnail: z.base64().max(BASE64_CHARACTERS),
  provenance: z.strictObject({
    source: plainText(500),
    licence: plainText(200),
    createdAt: z.iso.datetime({ offset: true }),
    createdBy: plainText(200),
  }),
});

export type Template = z.infer<typeof templateDocument>;
