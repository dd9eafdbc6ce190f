/**
 * Converts templates to and from text and identifies them: what determines the pixels is the template's content, with a
 * kind and a hash.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { StainError } from '../errors.ts';
import {
  type Template,
  type TemplateContent,
  templateContent,
  templateDocument,
} from './template-document.ts';

/** Kind of the content that this version writes and reads. Content of another kind followed other rules. */
export const TEMPLATE_KIND = 'class-statistics/2';

/** Content of a template, with the name and hash under which it was requested. */
export interface TemplateVersion extends TemplateContent {
  readonly id: string;
  /** Hash of the content, see `sha256Of`. */
  readonly sha256: string;
}

/**
 * Parses the text of a template file.
 * @throws TEMPLATE_INVALID naming the wrong field, TEMPLATE_OUTDATED for a document of another kind
 */
export function parseTemplate(text: string, origin: string): Template {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new StainError('TEMPLATE_INVALID', `${origin} is not JSON.`, { cause });
  }
  const { schemaVersion } = z.looseObject({ schemaVersion: z.unknown() }).safeParse(json).data ?? {};
  if (typeof schemaVersion === 'number' && schemaVersion !== 2)
    throw outdated(origin, `version ${schemaVersion}`);
  return parseBy(templateDocument, json, origin);
}

/** The text that is stored and hashed: always the same for the same content. */
export function contentOf({ model, glassDensity, classes, densities, pixels }: TemplateContent): string {
  const { name, version, sha256 } = model;
  return JSON.stringify({
    model: { name, version, sha256 },
    glassDensity,
    classes: classes.map(({ share, mean, sd }) => ({ share, mean, sd })),
    densities: densities.map(({ share, mean, covariance }) => ({ share, mean, covariance })),
    pixels,
  });
}

/** SHA-256 of kind and content, to which jobs and derived headers refer. */
export function sha256Of(kind: string, content: string): string {
  return createHash('sha256').update(`${kind}\n${content}`).digest('hex');
}

/** The content of a document with its hash. */
export function versionOf(template: Template): TemplateVersion {
  const { id, model, glassDensity, classes, densities, pixels } = template;
  return {
    id,
    sha256: sha256Of(TEMPLATE_KIND, contentOf(template)),
    model,
    glassDensity,
    classes,
    densities,
    pixels,
  };
}

/** @throws TEMPLATE_OUTDATED for content of a kind that this version does not support */
export function parseContent(id: string, kind: string, content: string): TemplateContent {
  if (kind !== TEMPLATE_KIND) throw outdated(`Template "${id}"`, `kind "${kind}"`);
  return parseBy(templateContent, JSON.parse(content), `Template "${id}"`);
}

/** Throws TEMPLATE_INVALID unless the template was made with this model, or one with the same classes. */
export function requireTemplateOf(
  template: Pick<TemplateVersion, 'id' | 'model' | 'classes' | 'densities'>,
  model: { name: string; version: string; sha256: string; classes: number; templatesOf: readonly string[] },
): void {
  for (const { length } of [template.classes, template.densities])
    if (model.templatesOf.includes(template.model.sha256) && length !== model.classes)
      throw new StainError(
        'TEMPLATE_INVALID',
        `Template "${template.id}" has ${length} classes, and the network "${model.name}" has ${model.classes}; make it again.`,
      );
  if (!model.templatesOf.includes(template.model.sha256))
    throw new StainError(
      'TEMPLATE_INVALID',
      `Template "${template.id}" was made for the network "${template.model.name}" ${template.model.version}, not for "${model.name}" ${model.version}; make it again.`,
      {
        data: { templateModel: template.model, model: { name: model.name, sha256: model.sha256 } },
      },
    );
}

/**
 * What everybody may read about the origin of a template: no UIDs, and no position on a slide. Documents of older
 * versions contain both in this text.
 */
export function publicOrigin(source: string): string {
  if (/^series \d/.test(source)) return 'a series';
  return source
    .split(' ')
    .map((word) => (word.split(/[^\d.]+/).some(isUid) ? '(UID)' : word))
    .join(' ');
}

/** Longer than a version or a date with dots. */
function isUid(text: string): boolean {
  return text.split('.').filter((part) => part !== '').length > 3;
}

function parseBy<T>(schema: z.ZodType<T>, json: unknown, origin: string): T {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw new StainError('TEMPLATE_INVALID', `${origin}: ${z.prettifyError(parsed.error)}`);
}

function outdated(origin: string, what: string): StainError {
  return new StainError('TEMPLATE_OUTDATED', `${origin} is of ${what}, which is no longer supported.`);
}
