/** What a normalisation is asked for, and the job that does it. */

import { z } from 'zod';
import { templateId } from '../stain/template-document.ts';
import { DEFAULT_TRANSFER, TRANSFERS } from '../stain/transfer-name.ts';
import { DEFAULT_MODEL } from './default-model.ts';

export const dicomUid = z
  .string()
  .max(64)
  .regex(/^[0-9]+(\.[0-9]+)+$/, 'digits and dots')
  .meta({ description: 'DICOM unique identifier', example: '1.2.840.113619.2.1' });

/** Of a series that may hold several. */
export const slideOfSeries = dicomUid.optional().meta({
  description:
    'SOP Instance UID of any image of the slide, where the series holds several; without it the only slide of the series',
});

export const anyStain = z.boolean().optional().meta({
  description:
    'true: a slide that is not H&E is normalised too, and its derived header says so. Its colours mean nothing then',
});
const encoding = z
  .enum(['jpeg', 'htj2k', 'jpeg2000'])
  .meta({ description: 'JPEG baseline, or a lossless encoding' });
const quality = z
  .int()
  .min(1)
  .max(100)
  .meta({ description: 'JPEG quality; without meaning for lossless encodings' });

const transferName = z.enum(TRANSFERS).meta({
  description:
    'linear: one map of optical density for the slide, from the class means; paper: class by class, as published (Zanjani et al. 2018)',
});
export const transfer = transferName.default(DEFAULT_TRANSFER);

/** Names of few letters: whatever else a user may put there would come into records and trails. */
export const nameOfTemplate = templateId;
/** In hexadecimal digits. */
export const sha256Text = z.string().regex(/^[0-9a-f]{64}$/, '64 hexadecimal digits');
export const nameOfModel = z.string().regex(/^[\w.-]{1,64}$/, 'letters, digits, dots and hyphens');

/** Body of POST /api/normalizations. */
export const normalizationCreate = z
  .strictObject({
    studyInstanceUid: dicomUid,
    seriesInstanceUid: dicomUid,
    slide: slideOfSeries,
    template: nameOfTemplate,
    model: nameOfModel.default(DEFAULT_MODEL),
    transfer,
    encoding: encoding.optional(),
    quality: quality.optional(),
    anyStain,
  })
  .meta({
    id: 'NormalizationCreate',
    description: 'One slide to normalise. What is left out is taken from the configuration.',
  });
export type NormalizationCreate = z.input<typeof normalizationCreate>;

/** States of UPS (DICOM PS3.4 CC), and FAILED apart from CANCELED, since a person wants to know which it was. */
export const jobState = z
  .enum(['SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED', 'FAILED'])
  .meta({ id: 'JobState' });
export type JobState = z.infer<typeof jobState>;

const FINAL: readonly JobState[] = ['COMPLETED', 'CANCELED', 'FAILED'];

/** Whether a job in this state never changes again. */
export function isFinal(state: JobState): boolean {
  return FINAL.includes(state);
}

export const progress = z
  .object({
    stage: z.enum(['open', 'fetch', 'fit', 'normalize', 'store', 'verify']),
    done: z.number(),
    total: z.number(),
    unit: z.enum(['instances', 'bytes', 'tiles', 'pixels']),
    fraction: z.number().min(0).max(1).meta({ description: 'Part of the whole job that is done' }),
    megapixelsPerSecond: z.number().optional(),
    secondsLeft: z.number().optional(),
  })
  .meta({ id: 'Progress' });

const triple = z.tuple([z.number(), z.number(), z.number()]).readonly();

export const classStatistics = z.object({ share: z.number(), mean: triple, sd: triple }).meta({
  id: 'ClassStatistics',
  description: 'Share, mean and standard deviation of one stain class in (D, cx, cy)',
});

export const densityStatistics = z
  .object({ share: z.number(), mean: triple, covariance: z.tuple([triple, triple, triple]).readonly() })
  .meta({
    id: 'DensityStatistics',
    description: 'Share, mean and covariance of one stain class in optical density (R, G, B)',
  });

export const outOfDistribution = z
  .object({
    verdict: z.enum(['he', 'unsure', 'other']).optional().meta({
      description:
        'he: looks like H&E. unsure: noted. other: refused, unless any stain was allowed. Results of older versions have none',
    }),
    score: z.number(),
    reasons: z.array(z.string()).readonly(),
  })
  .readonly()
  .meta({
    id: 'OutOfDistribution',
    description:
      'Whether the slide looks like H&E; score: how sure it is that it does not, 0 to 1; reasons: what was seen',
  });

export const normalizationResult = z
  .object({
    studyInstanceUid: z.string(),
    seriesInstanceUid: z.string().meta({ description: 'The derived series' }),
    sourceSeriesInstanceUid: z.string(),
    sourceSlide: z.string().optional().meta({
      description: 'SOP Instance UID of the base level of the source slide, where its series holds several',
    }),
    revision: z.int().optional().meta({
      description:
        'From 1: the next one is made after a rejection, a deletion or a change of the source; results of older versions have none',
    }),
    supersedes: z.string().optional().meta({ description: 'The series whose place this one takes' }),
    instances: z
      .array(
        z.object({
          sopInstanceUid: z.string(),
          role: z.enum(['base', 'level', 'thumbnail']),
          totalColumns: z.number(),
          totalRows: z.number(),
          frames: z.number(),
          bytes: z.number(),
        }),
      )
      .readonly(),
    template: z.string(),
    templateSha256: z
      .string()
      .optional()
      .meta({ description: 'SHA-256 of the content of the template; results of older versions have none' }),
    model: z.object({ name: z.string(), version: z.string(), sha256: z.string() }),
    transfer: transferName.optional().meta({ description: 'Results of older versions have none' }),
    executionProvider: z.string(),
    fit: z.object({
      sampledTiles: z.number(),
      tissueFraction: z.number(),
      classes: z.array(classStatistics).readonly(),
    }),
    outOfDistribution,
    colourPolicy: z.string(),
    notes: z.array(z.string()).readonly(),
    seconds: z.number(),
    megapixels: z.number(),
  })
  .meta({ id: 'NormalizationResult' });

export const jobError = z
  .object({
    code: z.string().meta({ description: 'One of GET /api/errors' }),
    message: z.string(),
    remedy: z.string(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'JobError' });

export const jobWaiting = z
  .object({ code: z.string(), message: z.string(), remedy: z.string() })
  .meta({ id: 'JobWaiting', description: 'A passing fault, such as an archive that is away' });

export const storedPart = z
  .object({ instances: z.int(), of: z.int() })
  .meta({ id: 'StoredPart', description: 'Instances in the archive, of those that the series has' });

export const job = z
  .object({
    id: z.uuid(),
    state: jobState,
    request: z.object({
      studyInstanceUid: z.string(),
      seriesInstanceUid: z.string(),
      slide: z.string().optional().meta({
        description: 'SOP Instance UID of the base level of the slide, where the series holds several',
      }),
      template: z.string(),
      templateSha256: z.string().optional().meta({
        description: 'Content of the template that it was asked with; jobs of older versions have none',
      }),
      contentSha256: z.string().optional().meta({
        description:
          'Of all that decides the bytes of the result, as it was asked for; jobs of older versions have none',
      }),
      sourceSha256: z.string().optional().meta({
        description: 'Of the SOP Instance UIDs that the slide had when it was asked for',
      }),
      model: z.string(),
      transfer: transferName.optional().meta({ description: 'Jobs of older versions have none' }),
      encoding,
      quality,
      anyStain,
    }),
    progress: progress.nullable(),
    result: normalizationResult.nullable(),
    error: jobError.nullable(),
    waiting: jobWaiting.nullable().meta({
      description:
        'Why a job that has begun is SCHEDULED again: it goes on from where it was when this has passed',
    }),
    stored: storedPart.nullable().meta({
      description:
        'How much of the derived series the archive has taken; null where it was sent nothing. The base level goes last',
    }),
    cancelRequested: z.boolean().meta({
      description: 'True from the request to cancel on; the state follows when the work has stopped',
    }),
    requestedBy: z.string().meta({ description: 'Who asked for it; "local" where there is no login' }),
    priority: z.enum(['interactive', 'batch']),
    workitemUid: z.string().meta({ description: 'SOP Instance UID of the job as a work item of UPS-RS' }),
    batch: z.uuid().nullable().meta({ description: 'The batch that it belongs to' }),
    createdAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
    revision: z
      .string()
      .meta({ description: 'Different after every change; the id of the event that tells of it' }),
  })
  .meta({ id: 'Job' });
export type Job = z.infer<typeof job>;

/** One event of GET /api/normalizations/{id}/events: SSE field `id`, and the whole job as `data`. */
export interface JobEvent {
  readonly id: string;
  readonly job: Job;
}

export const jobList = z
  .object({
    jobs: z.array(job),
    next: z.string().nullable().meta({ description: 'Cursor for the next page; null on the last one' }),
  })
  .meta({ id: 'JobList', description: 'Newest first' });
export type JobList = z.infer<typeof jobList>;

export const jobListQuery = z.strictObject({
  series: dicomUid.optional().meta({ description: 'Only jobs of this source series' }),
  state: jobState.optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z
    .string()
    .regex(/^[\w-]{1,100}$/)
    .optional()
    .meta({ description: '"next" of the page before' }),
});
export type JobListQuery = z.infer<typeof jobListQuery>;
