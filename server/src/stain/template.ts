/** A template: the class statistics a slide is moved onto, as a data file that anyone can read and check. */
import { z } from 'zod';
import { StainError } from '../errors.ts';

const triple = z.tuple([z.number(), z.number(), z.number()]);
const positiveTriple = z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]);

export const templateId = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens');

export const templateSchema = z.strictObject({
  schemaVersion: z.literal(1),
  id: templateId,
  name: z.string().min(1).max(80),
  description: z.string().max(1000),
  /** The model whose classes the statistics belong to: a template of another model does not fit. */
  model: z.strictObject({
    name: z.string(),
    version: z.string(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  /** Optical density of the template's glass; see stain/transfer.ts for what it does to the glass of a slide. */
  glassDensity: z.number().min(0),
  classes: z
    .array(z.strictObject({ share: z.number().min(0).max(1), mean: triple, sd: positiveTriple }))
    .min(2),
  pixels: z.number().positive(),
  /** JPEG, base64. */
  thumbnail: z.base64(),
  provenance: z.strictObject({
    source: z.string(),
    licence: z.string(),
    createdAt: z.iso.datetime({ offset: true }),
    createdBy: z.string(),
  }),
});

export type Template = z.infer<typeof templateSchema>;

/** Parses the text of a template file; TEMPLATE_INVALID says which field is wrong. */
export function parseTemplate(text: string, origin: string): Template {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new StainError('TEMPLATE_INVALID', `${origin} is not JSON.`, { cause });
  }
  const parsed = templateSchema.safeParse(json);
  if (!parsed.success)
    throw new StainError('TEMPLATE_INVALID', `${origin}: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** Throws TEMPLATE_INVALID unless the template was made with this model, or one with the same classes. */
export function requireTemplateOf(
  template: Template,
  model: { name: string; sha256: string; classes: number; templatesOf: readonly string[] },
): void {
  if (!model.templatesOf.includes(template.model.sha256) || template.classes.length !== model.classes)
    throw new StainError(
      'TEMPLATE_INVALID',
      `Template "${template.id}" was made with another network ("${template.model.name}" ${template.model.version}) than "${model.name}"; make it again.`,
      {
        data: { templateModel: template.model, model: { name: model.name, sha256: model.sha256 } },
      },
    );
}
