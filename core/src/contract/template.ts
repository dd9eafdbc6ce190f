/** Templates: what the API returns about one, and what one is made from. */
import { z } from 'zod';
import { classStatistics, densityStatistics } from '../stain/class-statistics.ts';
import { plainName, plainText } from '../stain/plain-text.ts';
import { source } from './archive.ts';
import { DEFAULT_MODEL } from './default-model.ts';
import { anyStain, dicomUid, nameOfModel, nameOfTemplate, slideOfSeries } from './normalization.ts';
import { modelIdentity } from './service.ts';
import { region } from './stain.ts';

/**
 * Media type of the document that `template add` writes: a page from elsewhere cannot send it without a preflight
 * (CORS).
 */
export const TEMPLATE_MEDIA_TYPE = 'application/vnd.stain-normalization.template+json';

export const template = z
  .object({
    id: z.string(),
    version: z
      .int()
      .meta({ description: 'Incremented whenever the content or description of the id changes' }),
    sha256: z.string().meta({ description: 'SHA-256 of the content; jobs and derived headers refer to it' }),
    name: z.string(),
    description: z.string(),
    thumbnail: z.string().meta({ description: 'URL of a JPEG, relative to the root of the host' }),
    model: modelIdentity.nullable().meta({ description: 'Null if the template is not usable' }),
    provenance: z.object({
      source: z
        .string()
        .meta({ description: 'Origin in words that everybody may read; UIDs are in `source`' }),
      licence: z.string(),
      createdAt: z.string(),
      createdBy: z.string(),
    }),
    classes: z.array(classStatistics),
    densities: z.array(densityStatistics),
    glassDensity: z.number().nullable(),
    own: z.boolean().meta({ description: 'Whether you made the template' }),
    mayRemove: z.boolean().meta({ description: 'Whether you may replace and remove it' }),
    shipped: z.boolean().meta({ description: 'Shipped with the product' }),
    current: z.boolean().meta({ description: 'False for a version that was replaced or removed' }),
    usable: z.boolean().meta({
      description: 'False for content of an older kind: make the template again from its series or pictures',
    }),
    owner: z
      .string()
      .nullable()
      .optional()
      .meta({ description: 'Id of the user, for that user and administrators; null: the service itself' }),
  })
  .meta({ id: 'Template' });
export type Template = z.infer<typeof template>;

export const templateList = z.object({ templates: z.array(template) }).meta({ id: 'TemplateList' });

export const templateDetail = template
  .extend({
    unfinishedJobs: z.int().optional().meta({
      description:
        'Number of waiting and running jobs that use a template with this id, and of batch series that will; only for users who may remove it',
    }),
    source: z
      .object({
        studyInstanceUid: z.string(),
        seriesInstanceUid: z.string(),
        slide: slideOfSeries,
        region: region.optional(),
        source: z
          .string()
          .optional()
          .meta({ description: 'Archive of the slide; missing: the default archive' }),
      })
      .optional()
      .meta({ description: 'The slide from which it was made, for users who may see that slide' }),
  })
  .meta({ id: 'TemplateDetail' });
export type TemplateDetail = z.infer<typeof templateDetail>;

const replace = 'Make the next version of an existing template that is yours';

/** Body of POST /api/templates. */
export const templateCreate = z
  .strictObject({
    name: plainName(80).trim().min(1),
    description: plainText(1000).default(''),
    licence: plainText(200).min(1).default('private'),
    studyInstanceUid: dicomUid,
    seriesInstanceUid: dicomUid,
    slide: slideOfSeries,
    source,
    model: nameOfModel.default(DEFAULT_MODEL),
    id: nameOfTemplate.optional().meta({ description: 'Default: derived from the name' }),
    replace: z.boolean().default(false).meta({ description: replace }),
    anyStain,
    region: region
      .optional()
      .meta({ description: 'Rectangle in pixels of the base level, 0-based; default: the whole slide' }),
  })
  .meta({ id: 'TemplateCreate' });
export type TemplateCreate = z.infer<typeof templateCreate>;

/** Query of PUT /api/templates/{id}. */
export const templateAdd = z.strictObject({
  replace: z.enum(['true', 'false']).default('false').meta({ description: replace }),
});
