/** The request for a normalisation, and the job that performs it. */

import { z } from 'zod';
import { classStatistics } from '../stain/class-statistics.ts';
import { templateId } from '../stain/template-document.ts';
import { DEFAULT_TRANSFER, TRANSFERS } from '../stain/transfer-name.ts';
import { destination, nameOfArchive, source } from './archive.ts';
import { DEFAULT_MODEL } from './default-model.ts';
import { JOB_STATES } from './job-state.ts';
import { OUTPUT_ENCODINGS } from './output.ts';
import { rejectionReason } from './rejection-reason.ts';

export const dicomUid = z
  .string()
  .max(64)
  .regex(/^[0-9]+(\.[0-9]+)+$/, 'digits and dots')
  .meta({ description: 'DICOM unique identifier', example: '1.2.840.113619.2.1' });

/** Slide of a series that may hold several. */
export const slideOfSeries = dicomUid.optional().meta({
  description:
    'SOP Instance UID of any image of the slide, if the series holds several; default: the only slide of the series',
});

export const anyStain = z.boolean().optional().meta({
  description:
    'true: also normalise a slide that is not H&E; its derived header says so, and its colours have no meaning',
});
export const outputEncoding = z
  .enum(OUTPUT_ENCODINGS)
  .meta({ description: 'JPEG baseline 4:2:2, or a lossless encoding' });
const quality = z.int().min(1).max(100).meta({ description: 'JPEG quality; ignored by lossless encodings' });

const transferName = z.enum(TRANSFERS).meta({
  description:
    'linear: one map of optical density for the slide, from the class means; paper: class by class, as published (Zanjani et al. 2018)',
});
export const transfer = transferName.default(DEFAULT_TRANSFER);

/** Restricted characters, because anything else that a user puts there would get into records and trails. */
export const nameOfTemplate = templateId;
/** In hexadecimal. */
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
    encoding: outputEncoding.optional(),
    quality: quality.optional(),
    anyStain,
    source,
    destination,
  })
  .meta({
    id: 'NormalizationCreate',
    description: 'One slide to normalise. Omitted fields are taken from the configuration.',
  });
export type NormalizationCreate = z.input<typeof normalizationCreate>;

export const jobState = z.enum(JOB_STATES).meta({ id: 'JobState' });

export const STAGES = ['open', 'fetch', 'fit', 'normalize', 'store', 'verify'] as const;
export type Stage = (typeof STAGES)[number];

export const progress = z
  .object({
    stage: z.enum(STAGES),
    done: z.number().meta({ description: 'Work done in this stage, in `unit`' }),
    total: z.number().meta({ description: 'Work to do in this stage, in `unit`' }),
    unit: z.enum(['instances', 'bytes', 'tiles', 'pixels']),
    fraction: z
      .number()
      .min(0)
      .max(1)
      .meta({ description: 'Fraction of the whole job that is done; it never decreases' }),
    megapixelsPerSecond: z.number().optional(),
    secondsLeft: z.number().optional(),
  })
  .meta({ id: 'Progress' });
export type Progress = z.infer<typeof progress>;

export const outOfDistribution = z
  .object({
    verdict: z.enum(['he', 'unsure', 'other']).optional().meta({
      description:
        'he: looks like H&E. unsure: recorded in the notes. other: refused, unless any stain was allowed. Missing in results of older versions',
    }),
    score: z.number(),
    reasons: z.array(z.string()).readonly(),
  })
  .readonly()
  .meta({
    id: 'OutOfDistribution',
    description:
      'Whether the slide looks like H&E; score: confidence that it does not, 0 to 1; reasons: what was seen',
  });

export const colourDistance = z.object({ before: z.number(), after: z.number().nullable() }).readonly().meta({
  id: 'ColourDistance',
  description:
    'CIEDE2000 between the mean colours of nuclei in slide and template, and of stroma and cytoplasm, averaged by their shares of the slide; after: with the colours as the transfer maps them, null for the transfer paper',
});

export const note = z
  .object({
    code: z.string().meta({
      description: 'Stable, for translation: core/src/notes.ts lists them. OTHER: none',
      example: 'SLIDE_FAINT',
    }),
    message: z.string().meta({ description: 'The note in English' }),
    data: z.record(z.string(), z.union([z.string(), z.number()])).readonly(),
  })
  .meta({ id: 'Note', description: 'What users should know about a slide or a result' });

export const normalizationResult = z
  .object({
    studyInstanceUid: z.string(),
    seriesInstanceUid: z.string().meta({ description: 'The derived series' }),
    sourceSeriesInstanceUid: z.string(),
    sourceSlide: z.string().optional().meta({
      description: 'SOP Instance UID of the base level of the source slide, if its series holds several',
    }),
    revision: z.int().optional().meta({
      description:
        'From 1; increases after a rejection, a deletion or a change of the source. Missing in results of older versions',
    }),
    supersedes: z.string().optional().meta({ description: 'The series that this one replaces' }),
    instances: z
      .array(
        z.object({
          sopInstanceUid: z.string(),
          role: z.enum(['base', 'level', 'thumbnail']),
          totalColumns: z.number(),
          totalRows: z.number(),
          frames: z.number(),
          bytes: z.number(),
          source: z.string().optional().meta({
            description:
              'SOP Instance UID of the image of the slide that it corresponds to; of the first one, if a level has several. Missing in results of older versions',
          }),
        }),
      )
      .readonly(),
    template: z.string(),
    templateSha256: z
      .string()
      .optional()
      .meta({ description: 'SHA-256 of the content of the template. Missing in results of older versions' }),
    model: z.object({ name: z.string(), version: z.string(), sha256: z.string() }),
    transfer: transferName.optional().meta({ description: 'Missing in results of older versions' }),
    executionProvider: z.string(),
    fit: z.object({
      sampledTiles: z.number(),
      tissueFraction: z.number(),
      classes: z.array(classStatistics).readonly(),
    }),
    outOfDistribution,
    colourDistance: colourDistance.optional().meta({
      description:
        'Missing if slide and template have no class of tissue in common, and in results of older versions',
    }),
    colourPolicy: z.string(),
    notes: z.array(note).readonly(),
    seconds: z.number(),
    megapixels: z.number(),
  })
  .meta({ id: 'NormalizationResult' });
export type NormalizationResult = z.infer<typeof normalizationResult>;

export const jobError = z
  .object({
    code: z.string().meta({ description: 'One of the codes in GET /api/errors' }),
    message: z.string(),
    remedy: z.string(),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'JobError' });

export const jobWaiting = z
  .object({ code: z.string(), message: z.string(), remedy: z.string() })
  .meta({ id: 'JobWaiting', description: 'A transient fault, such as an unreachable archive' });

export const storedPart = z
  .object({ instances: z.int(), of: z.int() })
  .meta({ id: 'StoredPart', description: 'How many instances of the series are in the archive' });
export type StoredPart = z.infer<typeof storedPart>;

/** Everything that determines the derived pixels and attributes; a job can be repeated exactly from this. */
export const normalizationRequest = z.object({
  studyInstanceUid: z.string(),
  seriesInstanceUid: z.string(),
  slide: z.string().optional().meta({
    description: 'SOP Instance UID of the base level of the slide, if the series holds several',
  }),
  template: z.string(),
  templateSha256: z.string().optional().meta({
    description: 'SHA-256 of the content of the requested template. Missing in jobs of older versions',
  }),
  contentSha256: z.string().optional().meta({
    description:
      'SHA-256 of everything that determines the bytes of the result, at the time of the request. Missing in jobs of older versions',
  }),
  sourceSha256: z.string().optional().meta({
    description: 'SHA-256 of the SOP Instance UIDs of the slide at the time of the request',
  }),
  model: z.string(),
  transfer: transferName,
  encoding: outputEncoding,
  quality,
  anyStain,
  source: z.string().optional().meta({ description: 'Archive of the slide; missing: the default archive' }),
  destination: z
    .string()
    .optional()
    .meta({ description: 'Archive of the result; missing: the default archive' }),
});
export type NormalizationRequest = z.infer<typeof normalizationRequest>;

export const job = z
  .object({
    id: z.uuid(),
    state: jobState,
    request: normalizationRequest.extend({
      transfer: transferName.optional().meta({ description: 'Missing in jobs of older versions' }),
    }),
    progress: progress.nullable(),
    result: normalizationResult.nullable(),
    error: jobError.nullable(),
    waiting: jobWaiting.nullable().meta({
      description: 'Why a job that had started is SCHEDULED again: it resumes when this has passed',
    }),
    stored: storedPart.nullable().meta({
      description:
        'How much of the derived series the archive has accepted; null if nothing was sent. The base level is sent last',
    }),
    rejected: rejectionReason.optional().meta({
      description: 'The result was rejected since; the same request makes the next revision',
    }),
    cancelRequested: z.boolean().meta({
      description: 'True once cancellation was requested; the state follows when the work has stopped',
    }),
    requestedBy: z.string().meta({ description: 'Who requested the job; "local" if there is no login' }),
    priority: z.enum(['interactive', 'batch']),
    workitemUid: z.string().meta({ description: 'SOP Instance UID of the job as a work item of UPS-RS' }),
    batch: z.uuid().nullable().meta({ description: 'The batch to which the job belongs' }),
    createdAt: z.iso.datetime(),
    startedAt: z.iso.datetime().nullable(),
    endedAt: z.iso.datetime().nullable(),
    revision: z
      .string()
      .meta({ description: 'Changes with every change of the job; also the id of its event' }),
  })
  .meta({ id: 'Job' });
export type Job = z.infer<typeof job>;

/** One event of GET /api/normalizations/{id}/events: the SSE field `id`, and the whole job as `data`. */
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
  source: nameOfArchive.optional().meta({ description: 'Only jobs of slides in this archive' }),
  state: jobState.optional(),
  limit: z.coerce.number().int().min(1).max(100).default(50),
  cursor: z
    .string()
    .regex(/^[\w-]{1,100}$/)
    .optional()
    .meta({ description: '"next" of the previous page' }),
});
export type JobListQuery = z.infer<typeof jobListQuery>;
