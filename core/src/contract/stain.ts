/** The current stain of a slide, and previews with another. */
import { z } from 'zod';
import { classStatistics, densityStatistics } from '../stain/class-statistics.ts';
import { source } from './archive.ts';
import { DEFAULT_MODEL } from './default-model.ts';
import {
  anyStain,
  dicomUid,
  nameOfModel,
  nameOfTemplate,
  note,
  outOfDistribution,
  slideOfSeries,
  transfer,
} from './normalization.ts';
import { modelIdentity } from './service.ts';

const modelName = nameOfModel.default(DEFAULT_MODEL);

export const stainQuery = z.strictObject({
  model: modelName,
  slide: slideOfSeries,
  source,
  anyStain: z
    .enum(['true', 'false'])
    .default('false')
    .transform((text) => text === 'true')
    .meta({ description: 'true: also return the stain of a slide that is not H&E' }),
});

export const stain = z
  .object({
    studyInstanceUid: z.string(),
    seriesInstanceUid: z.string(),
    model: modelIdentity,
    classes: z.array(classStatistics).readonly(),
    densities: z.array(densityStatistics).readonly(),
    glassDensity: z.number().meta({ description: 'Optical density of the empty glass' }),
    glassColour: z.tuple([z.number(), z.number(), z.number()]).readonly(),
    fade: z.object({ low: z.number(), high: z.number() }).meta({
      description:
        'Optical densities: up to the first, pixels are unchanged; from the second on, they are fully normalised',
    }),
    sampledTiles: z.number(),
    pixels: z.number(),
    tissueFraction: z.number(),
    outOfDistribution,
    notes: z.array(note).readonly(),
    colourPolicy: z.string(),
    colourTable: z.string().nullable().meta({
      description:
        'URL of the colour table from the colours of the slide to sRGB; null if they are already sRGB',
    }),
    nativeColours: z.enum(['RGB', 'YBR_FULL']).nullable().meta({
      description:
        'Actual colours of frames that are uncompressed, RLE, JPEG-LS or JPEG 2000, if the header is wrong; null if it can be trusted',
    }),
  })
  .meta({ id: 'Stain', description: 'What a job would fit to this slide' });
export type Stain = z.infer<typeof stain>;

const pixel = z
  .int()
  .min(0)
  .max(2 ** 31);

export const region = z
  .strictObject({ x: pixel, y: pixel, width: pixel.min(1), height: pixel.min(1) })
  .meta({ description: 'Rectangle in pixels of the base level, 0-based' });

/** Body of POST /api/preview. */
export const previewCreate = z
  .strictObject({
    studyInstanceUid: dicomUid,
    seriesInstanceUid: dicomUid,
    slide: slideOfSeries,
    source,
    template: nameOfTemplate,
    model: modelName,
    transfer,
    region,
    anyStain,
    size: z.int().min(1).max(2048).default(1024).meta({
      description:
        'Minimum number of pixels along the longer side of the picture, if a level has that many; at most 2048',
    }),
  })
  .meta({ id: 'PreviewCreate' });
export type PreviewCreate = z.input<typeof previewCreate>;
