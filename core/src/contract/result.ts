/** Stored results: what became of them, and what is to become of them. */
import { z } from 'zod';
import { dicomUid } from './normalization.ts';
import { rejectionReason } from './rejection-reason.ts';

export const resultState = z
  .enum(['CURRENT', 'DIFFERS', 'SOURCE GONE', 'GONE', 'ARCHIVE GONE', 'EXPIRING', 'REJECTED'])
  .meta({
    id: 'ResultState',
    description:
      'DIFFERS: patient, accession or study of the slide were corrected since. SOURCE GONE, GONE: the archive has no such slide, no such result any more. ARCHIVE GONE: the settings name no such archive any more. EXPIRING: its retention ends soon. REJECTED: by this service or by others',
  });
export type ResultState = z.infer<typeof resultState>;

export const storedResult = z
  .object({
    studyInstanceUid: z.string(),
    seriesInstanceUid: z.string(),
    archive: z
      .string()
      .optional()
      .meta({ description: 'Archive that it is stored in; missing: the default archive' }),
    source: z.object({
      studyInstanceUid: z.string(),
      seriesInstanceUid: z.string(),
      archive: z
        .string()
        .optional()
        .meta({ description: 'Archive of the slide; missing: the default archive' }),
    }),
    state: resultState,
    differs: z
      .array(z.string())
      .readonly()
      .meta({
        description: 'Keywords of the attributes in which the slide differs from the result now',
        example: ['PatientID', 'AccessionNumber'],
      }),
    missingArchives: z
      .array(z.string())
      .readonly()
      .meta({
        description: 'Of result and slide: archives that the settings name no more',
        example: ['research'],
      }),
    reason: rejectionReason.nullable().meta({ description: 'Why it was rejected' }),
    replacement: z.uuid().nullable().meta({ description: 'The job that makes it again' }),
    storedAt: z.iso.datetime(),
    checkedAt: z.iso.datetime().nullable(),
    expiresAt: z.iso.datetime().nullable().meta({ description: 'When its retention ends' }),
  })
  .meta({ id: 'StoredResult' });
export type StoredResult = z.infer<typeof storedResult>;

export const resultQuery = z.object({
  state: resultState.optional(),
  after: dicomUid.optional().meta({ description: '`next` of the page before' }),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
export type ResultQuery = z.infer<typeof resultQuery>;

export const resultPage = z
  .object({ results: z.array(storedResult), next: z.string().nullable() })
  .meta({ id: 'ResultPage' });

/** Body of POST /api/results/check. */
export const resultCheck = z.strictObject({ studyInstanceUid: dicomUid }).meta({
  id: 'ResultCheck',
  description: 'A study that holds results, or slides of which there are results',
});

/** Body of POST /api/results/{series}/reject. */
export const resultReject = z
  .strictObject({ reason: rejectionReason.default('quality') })
  .meta({ id: 'ResultReject' });
