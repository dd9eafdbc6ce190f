/** Search for work items (PS3.18 11.9), by the attributes that differ between jobs. */
import { z } from 'zod';
import { dicomUid, type Job } from '../../../../core/src/contract/index.ts';
import type { Principal } from '../../auth/principal.ts';
import { parseInput } from '../problem.ts';
import type { UserJobs } from '../user-jobs.ts';
import { IMAGE_PROCESSING, stateOf } from './workitem.ts';

/** Maximum number of jobs to read for one response. */
const MAX_LOOKED_AT = 5000;

/** As many results at the most, whatever is asked for. */
const MAX_RESULTS = 500;

/** Maps tags to keywords (PS3.18 8.3.4.1). */
const KEYWORDS: Record<string, string> = {
  '00741000': 'ProcedureStepState',
  '00080018': 'SOPInstanceUID',
  '0020000D': 'StudyInstanceUID',
  '00404021.0020000E': 'InputInformationSequence.SeriesInstanceUID',
  '00404018.00080100': 'ScheduledWorkitemCodeSequence.CodeValue',
};

const search = z.strictObject({
  ProcedureStepState: z.enum(['SCHEDULED', 'IN PROGRESS', 'COMPLETED', 'CANCELED']).optional(),
  SOPInstanceUID: dicomUid.optional(),
  StudyInstanceUID: dicomUid.optional(),
  'InputInformationSequence.SeriesInstanceUID': dicomUid.optional(),
  'ScheduledWorkitemCodeSequence.CodeValue': z.string().optional(),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .transform((limit) => Math.min(limit, MAX_RESULTS))
    .default(100),
  offset: z.coerce.number().int().min(0).default(0),
  /** Accepted and ignored: every attribute is returned anyway. */
  includefield: z.unknown().optional(),
  /** Accepted in the only form that there is. */
  fuzzymatching: z.literal('false').optional(),
  accept: z.literal(['application/dicom+json', 'application/json']).optional(),
});
export type WorkitemSearch = z.output<typeof search>;

/** @throws REQUEST_INVALID for attributes that cannot be matched */
export function parseSearch(query: object): WorkitemSearch {
  const named = Object.entries(query).map(([key, value]) => [KEYWORDS[key.toUpperCase()] ?? key, value]);
  return parseInput(search, Object.fromEntries(named));
}

export async function searchWorkitems(
  jobs: UserJobs,
  principal: Principal,
  wanted: WorkitemSearch,
): Promise<Job[]> {
  const code = wanted['ScheduledWorkitemCodeSequence.CodeValue'];
  if (code !== undefined && code !== IMAGE_PROCESSING.string('CodeValue')) return [];
  const isWanted = (job: Job): boolean =>
    (wanted.ProcedureStepState ?? stateOf(job)) === stateOf(job) &&
    (wanted.SOPInstanceUID ?? job.workitemUid) === job.workitemUid;
  const filter = {
    series: wanted['InputInformationSequence.SeriesInstanceUID'],
    study: wanted.StudyInstanceUID,
  };
  const found: Job[] = [];
  // Work items that the user may not see count neither for the offset nor for the limit.
  for await (const job of jobs.visible(principal, filter, MAX_LOOKED_AT)) {
    if (isWanted(job)) found.push(job);
    if (found.length >= wanted.offset + wanted.limit) break;
  }
  return found.slice(wanted.offset, wanted.offset + wanted.limit);
}
