/** Many slides at once: every series that a search finds. */
import { z } from 'zod';
import { jobState, normalizationCreate } from './normalization.ts';

const match = z.string().min(1).max(64);

/** Attributes of a QIDO-RS search for series; wildcards and ranges are those of the archive. */
export const batchQuery = z
  .strictObject({
    StudyInstanceUID: match.optional(),
    SeriesInstanceUID: match.optional(),
    PatientID: match.optional(),
    AccessionNumber: match.optional(),
    StudyDate: match.optional(),
    StudyDescription: match.optional(),
    SeriesDescription: match.optional(),
  })
  .meta({ id: 'BatchQuery' });

const { template, model, transfer, encoding, quality, anyStain } = normalizationCreate.shape;

/** Body of POST /api/batches. */
export const batchCreate = z
  .strictObject({ query: batchQuery, template, model, transfer, encoding, quality, anyStain })
  .meta({ id: 'BatchCreate', description: 'Whole-slide series (modality SM) that the query matches' });

export const batchSeries = z
  .object({
    studyInstanceUid: z.string(),
    seriesInstanceUid: z.string(),
    slide: z.string().nullable().meta({
      description:
        'SOP Instance UID of the base level of the slide: a series of several slides has a line for each once it was looked at',
    }),
    state: z.enum(['WAITING', 'REFUSED', 'SKIPPED', ...jobState.options]).meta({
      description:
        'WAITING: no job yet; with a code it was set aside, and is tried again. REFUSED: no slide that can be normalised. SKIPPED: a result of this product. Otherwise the state of its job.',
    }),
    job: z.uuid().nullable(),
    code: z
      .string()
      .nullable()
      .meta({ description: 'Of the refusal, the error, or what it waits for to pass' }),
    message: z.string().nullable(),
    attempts: z
      .int()
      .meta({ description: 'How often the archive could not show it when a job was to be made' }),
    nextTryAt: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'When a series that was set aside is tried again' }),
    derivedSeriesInstanceUid: z.string().nullable(),
    seconds: z.number().nullable(),
  })
  .meta({ id: 'BatchSeries' });
export type BatchSeries = z.infer<typeof batchSeries>;

export const batch = z
  .object({
    id: z.uuid(),
    requestedBy: z.string(),
    createdAt: z.iso.datetime(),
    template: z.string(),
    model: z.string(),
    transfer: transfer.unwrap().optional().meta({ description: 'Batches of older versions have none' }),
    isCancelled: z.boolean(),
    counts: z.record(z.string(), z.number()).meta({ description: 'Series by state' }),
  })
  .meta({ id: 'Batch' });
export type Batch = z.infer<typeof batch>;

export const batchReport = batch.extend({ series: z.array(batchSeries) }).meta({ id: 'BatchReport' });
export type BatchReport = z.infer<typeof batchReport>;

export const batchList = z.object({ batches: z.array(batch) }).meta({ id: 'BatchList' });
