/** Templates: what is told of one, and what one is made of. */
import { z } from 'zod';
import { plainName, plainText } from '../stain/plain-text.ts';
import { DEFAULT_MODEL } from './default-model.ts';
import {
  anyStain,
  classStatistics,
  densityStatistics,
  dicomUid,
  nameOfModel,
  nameOfTemplate,
  slideOfSeries,
} from './normalization.ts';
import { modelIdentity } from './service.ts';
import { region } from './stain.ts';

/** Of the document that `template add` writes: no page of elsewhere sends it without being asked (CORS). */
export const TEMPLATE_MEDIA_TYPE = 'application/vnd.stain-normalization.template+json';

export const template = z
  .object({
    id: z.string(),
    version: z.int().meta({ description: 'Counts the contents and descriptions that the id has had' }),
    sha256: z.string().meta({ description: 'Of the content; a job and a derived header name it' }),
    name: z.string(),
    description: z.string(),
    thumbnail: z.string().meta({ description: 'Address of a JPEG, relative to the root of the host' }),
    model: modelIdentity.nullable().meta({ description: 'Null where it is not usable' }),
    provenance: z.object({
      source: z.string().meta({ description: 'In words that all may read; UIDs are in `source`' }),
      licence: z.string(),
      createdAt: z.string(),
      createdBy: z.string(),
    }),
    classes: z.array(classStatistics),
    densities: z.array(densityStatistics),
    glassDensity: z.number().nullable(),
    own: z.boolean().meta({ description: 'Made by whoever asks' }),
    mayRemove: z.boolean().meta({ description: 'Whoever asks may replace and remove it' }),
    shipped: z.boolean().meta({ description: 'Comes with the product' }),
    current: z.boolean().meta({ description: 'False for a version that was replaced or removed' }),
    usable: z.boolean().meta({
      description: 'False for content of an older kind, which must be made again from its series or pictures',
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
        'Jobs that wait or run with a template of this id, and series of batches that will; for those who may remove it',
    }),
    source: z
      .object({
        studyInstanceUid: z.string(),
        seriesInstanceUid: z.string(),
        slide: slideOfSeries,
        region: region.optional(),
      })
      .optional()
      .meta({ description: 'The slide it was made of, for those who may see that slide' }),
  })
  .meta({ id: 'TemplateDetail' });
export type TemplateDetail = z.infer<typeof templateDetail>;

const replace = 'Make the next version of a template that is there already, where it is yours';

/** Body of POST /api/templates. */
export const templateCreate = z
  .strictObject({
    name: plainName(80).trim().min(1),
    description: plainText(1000).default(''),
    licence: plainText(200).min(1).default('private'),
    studyInstanceUid: dicomUid,
    seriesInstanceUid: dicomUid,
    slide: slideOfSeries,
    model: nameOfModel.default(DEFAULT_MODEL),
    id: nameOfTemplate.optional().meta({ description: 'Made of the name where it is left out' }),
    replace: z.boolean().default(false).meta({ description: replace }),
    anyStain,
    region: region
      .optional()
      .meta({ description: 'Rectangle in pixels of the base level, 0-based; the whole slide without it' }),
  })
  .meta({ id: 'TemplateCreate' });
export type TemplateCreate = z.infer<typeof templateCreate>;

/** Query of PUT /api/templates/{id}. */
export const templateAdd = z.strictObject({
  replace: z.enum(['true', 'false']).default('false').meta({ description: replace }),
});
