/** Many slides at once: every series found by a search. */
import { z } from 'zod';
import { DATE_RANGE } from '../dicom/date-range.ts';
import { usedArchives } from './archive.ts';
import { MAX_STUDIES } from './max-studies.ts';
import { dicomUid, jobState, normalizationCreate } from './normalization.ts';

const match = z.string().min(1).max(64);
/** Anything else would match nothing. */
const dateMatch = match.regex(DATE_RANGE, 'a date is YYYYMMDD, a range YYYYMMDD-YYYYMMDD');

/** Attributes of a QIDO-RS search for series; wildcards and ranges work as in the archive. */
export const batchQuery = z
  .strictObject({
    StudyInstanceUID: match.optional(),
    SeriesInstanceUID: match.optional(),
    PatientID: match.optional(),
    AccessionNumber: match.optional(),
    StudyDate: dateMatch.optional(),
    StudyDescription: match.optional(),
    SeriesDescription: match.optional(),
  })
  .meta({ id: 'BatchQuery' });

const { template, model, transfer, encoding, quality, anyStain, source, destination } =
  normalizationCreate.shape;

/** Body of POST /api/batches. */
export const batchCreate = z
  .strictObject({
    query: batchQuery.optional(),
    studies: z
      .array(dicomUid)
      .min(1)
      .max(MAX_STUDIES)
      .optional()
      .meta({ description: 'Study Instance UIDs, in place of a query' }),
    template,
    model,
    transfer,
    encoding,
    quality,
    anyStain,
    source,
    destination,
  })
  .refine(({ query, studies }) => (query === undefined) !== (studies === undefined), {
    message: 'give either query or studies',
  })
  .meta({
    id: 'BatchCreate',
    description: 'Whole-slide series (modality SM) that the query matches, or of the studies listed',
  });
export type BatchCreate = z.input<typeof batchCreate>;

export const batchSeries = z
  .object({
    studyInstanceUid: z.string(),
    seriesInstanceUid: z.string(),
    slide: z.string().nullable().meta({
      description:
        'SOP Instance UID of the base level of the slide: once read, a series of several slides has one line per slide',
    }),
    state: z.enum(['WAITING', 'REFUSED', 'SKIPPED', 'FITTED', ...jobState.options]).meta({
      description:
        'WAITING: no job yet; with a code, it was set aside and will be retried. REFUSED: not a slide that can be normalised. SKIPPED: a result of this product. FITTED: a rule fitted the slide, and the normalised archive shows it. Otherwise the state of its job.',
    }),
    job: z.uuid().nullable(),
    code: z
      .string()
      .nullable()
      .meta({ description: 'Code of the refusal, of the error, or of the fault that it is waiting out' }),
    message: z.string().nullable(),
    attempts: z
      .int()
      .meta({ description: 'How often the archive failed to return it when a job was to be created' }),
    nextTryAt: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'When a series that was set aside will be retried' }),
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
    transfer: transfer.unwrap().optional().meta({ description: 'Missing in batches of older versions' }),
    ...usedArchives,
    isCancelled: z.boolean(),
    counts: z.record(z.string(), z.number()).meta({ description: 'Number of series by state' }),
  })
  .meta({ id: 'Batch' });
export type Batch = z.infer<typeof batch>;

export const batchReport = batch.extend({ series: z.array(batchSeries) }).meta({ id: 'BatchReport' });
export type BatchReport = z.infer<typeof batchReport>;

export const batchList = z.object({ batches: z.array(batch) }).meta({ id: 'BatchList' });
