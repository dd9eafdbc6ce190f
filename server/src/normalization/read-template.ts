/** A template that comes from elsewhere, as the text of a document: believed in nothing, and given back harmless. */
import { harmlessThumbnail } from '../codec/image-file.ts';
import { StainError } from '../errors.ts';
import type { LoadedModel } from '../inference/manifest.ts';
import { parseTemplate, publicOrigin, requireTemplateOf } from '../stain/template.ts';
import type { Template } from '../stain/template-document.ts';

/**
 * @param origin for messages
 * @param models those that are installed: it must fit one of them
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
