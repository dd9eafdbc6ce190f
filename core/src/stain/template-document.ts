/**
 * A template as a document: the class statistics to which slides are normalised, as a JSON file that anybody can read
 * and check.
 */
import { z } from 'zod';
import { plainName, plainText } from './plain-text.ts';

/** Far beyond possible optical densities and chromaticities, but still safe to compute with. */
const figure = z.number().min(-100).max(100);
const triple = z.tuple([figure, figure, figure]);
const positive = z.number().positive().max(100);

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
  glassDensity: z.number().min(0).max(100),
  classes: z
    .array(
      z.strictObject({
        share: z.number().min(0).max(1),
        mean: triple,
        sd: z.tuple([positive, positive, positive]),
      }),
    )
    .min(2)
    .max(64),
  /** The same classes in optical density (stain/linear.ts). */
  densities: z
    .array(
      z.strictObject({
        share: z.number().min(0).max(1),
        mean: triple,
        covariance: z.tuple([triple, triple, triple]),
      }),
    )
    .min(2)
    .max(64),
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
