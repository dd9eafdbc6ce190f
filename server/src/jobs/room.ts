/**
 * How many jobs there may be. Single requests, batches and rules are counted separately: no batch takes the place of a
 * person who is waiting for one slide, and no batch that of a rule.
 */
import type { Config } from '../config.ts';

export type RoomLimits = Pick<Config['limits'], 'maxQueuedJobs' | 'jobsPerUser'>;

/**
 * Additional jobs that batches may have, as a fraction of what single requests may have. The rest of a batch can wait.
 */
const BATCH_SHARE = 0.5;

/** Who asks for jobs. */
export type Asker = 'person' | 'batch' | 'rule';

/** Jobs of each, as a condition on the table of jobs. */
export const JOBS_OF: Readonly<Record<Asker, string>> = {
  person: 'batch IS NULL',
  batch: 'batch IS NOT NULL AND rule IS NULL',
  rule: 'rule IS NOT NULL',
};

/**
 * Jobs of all rules that could run now. Their series wait as lines, not as jobs: then the hours of a rule and its
 * priority still count for them.
 */
export interface RuleRoom {
  readonly runnable: number;
}
export const RULE_ROOM: RuleRoom = { runnable: 8 };
/** Jobs that wait for a fault to pass do not hold up the others. */
export const OF_RULES = `state = 'SCHEDULED' AND waiting IS NULL AND ${JOBS_OF.rule}`;

export function roomFor(asker: Asker, { maxQueuedJobs, jobsPerUser }: RoomLimits): RoomLimits {
  if (asker === 'person') return { maxQueuedJobs, jobsPerUser };
  const part = (limit: number): number => Math.max(1, Math.floor(limit * BATCH_SHARE));
  return { maxQueuedJobs: part(maxQueuedJobs), jobsPerUser: part(jobsPerUser) };
}
