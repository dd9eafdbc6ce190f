/** Reads a template from elsewhere, as the text of a document: nothing in it is trusted, and the result is harmless. */

import { StainError } from '../../../core/src/errors.ts';
import { parseTemplate, publicOrigin, requireTemplateOf } from '../../../core/src/stain/template.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import { harmlessThumbnail } from '../codec/image-file.ts';
import type { LoadedModel } from '../inference/manifest.ts';

/**
 * @param origin for messages
 * @param models the installed models: the template must fit one of them
 * @throws TEMPLATE_INVALID, TEMPLATE_OUTDATED
 */
export async function readTemplate(
  text: string,
  origin: string,
  models: readonly LoadedModel[],
): Promise<Template> {
  const { provenance, ...template } = parseTemplate(text, origin);
  const [first] = models;
  if (first) requireTemplateOf(template, models.find((model) => fits(template, model)) ?? first);
  const thumbnail = await harmlessThumbnail(Buffer.from(template.thumbnail, 'base64')).catch((cause) => {
    throw new StainError('TEMPLATE_INVALID', `${origin}: thumbnail: not a small JPEG`, { cause });
  });
  return {
    ...template,
    thumbnail: Buffer.from(thumbnail).toString('base64'),
    provenance: { ...provenance, source: publicOrigin(provenance.source) },
  };
}

function fits({ model }: Pick<Template, 'model'>, { templatesOf }: LoadedModel): boolean {
  return templatesOf.includes(model.sha256);
}
