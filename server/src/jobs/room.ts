/**
 * How many jobs there may be. Requests made one by one and those of batches are counted apart: no batch, of whoever,
 * takes the room of a person who waits for one slide.
 */
import type { Config } from '../config.ts';

export type RoomLimits = Pick<Config['limits'], 'maxQueuedJobs' | 'jobsPerUser'>;

/** What batches may hold beside, as part of what requests made one by one may. A batch's other series have time. */
const BATCH_SHARE = 0.5;

/** @param isBatch whether the jobs belong to batches */
export function roomFor(isBatch: boolean, { maxQueuedJobs, jobsPerUser }: RoomLimits): RoomLimits {
  if (!isBatch) return { maxQueuedJobs, jobsPerUser };
  const part = (limit: number): number => Math.max(1, Math.floor(limit * BATCH_SHARE));
  return { maxQueuedJobs: part(maxQueuedJobs), jobsPerUser: part(jobsPerUser) };
}
