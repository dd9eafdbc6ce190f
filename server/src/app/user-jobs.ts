/**
 * Jobs as one user may see and steer them: one's own, and those of series that the archive shows one. What may not be
 * seen is not there.
 */
import pLimit from 'p-limit';
import { type Access, requireAccess } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import type { Job, JobEvent, JobListQuery } from '../contract/index.ts';
import { StainError } from '../errors.ts';
import type { JobOrigin } from '../jobs/job-records.ts';
import type { JobService } from '../jobs/job-service.ts';
import type { NormalizationRequest } from '../normalization/types.ts';

/** Questions to the archive at once, for one list. */
const PROBES_AT_ONCE = 8;
/** Longest time of a timer. */
const MOST_TIMER_MS = 2 ** 31 - 1;

export class UserJobs {
  readonly #jobs: JobService;
  readonly #access: Access;

  constructor(jobs: JobService, access: Access) {
    this.#jobs = jobs;
    this.#access = access;
  }

  /** @throws SERIES_NOT_FOUND, and what `JobService.create` throws */
  async create(
    principal: Principal,
    request: NormalizationRequest,
    origin: Omit<JobOrigin, 'requestedBy'>,
    signal: AbortSignal,
  ): Promise<{ job: Job; existing: boolean }> {
    await requireAccess(this.#access, principal, request);
    return this.#jobs.create(request, { ...origin, requestedBy: principal.id }, signal);
  }

  /** @throws JOB_NOT_FOUND */
  async get(principal: Principal, id: string): Promise<Job> {
    const job = await this.#jobs.get(id);
    if (!(await this.#maySee(principal, job))) throw notFound(id);
    return job;
  }

  /** @throws WORKITEM_NOT_FOUND */
  async getWorkitem(principal: Principal, uid: string): Promise<Job> {
    const job = await this.#jobs.findWorkitem(uid);
    if (job && (await this.#maySee(principal, job))) return job;
    throw new StainError('WORKITEM_NOT_FOUND', `There is no work item ${uid}.`);
  }

  /** A page may hold fewer jobs than asked for. */
  async list(principal: Principal, query: JobListQuery): Promise<{ jobs: Job[]; next: string | null }> {
    const { jobs, next } = await this.#jobs.list(query);
    const limit = pLimit(PROBES_AT_ONCE);
    const visible = await Promise.all(
      // An archive that is away shows nobody anything.
      jobs.map((job) => limit(() => this.#maySee(principal, job).catch(() => false))),
    );
    return { jobs: jobs.filter((_, i) => visible[i]), next };
  }

  /** @throws JOB_NOT_FOUND, JOB_FINISHED, FORBIDDEN for a job of somebody else */
  async cancel(principal: Principal, id: string): Promise<Job> {
    const { requestedBy } = await this.get(principal, id);
    if (requestedBy !== principal.id && !principal.scopes.has('administer'))
      throw new StainError('FORBIDDEN', 'Only those who asked for a job, and administrators, cancel it.');
    return this.#jobs.cancel(id);
  }

  /**
   * As `JobService.events`, for as long as the token lasts and the archive shows the series: there are none of a job that the
   * user may not see. @throws JOB_NOT_FOUND
   */
  async *events(
    principal: Principal,
    id: string,
    signal: AbortSignal,
    after?: string,
  ): AsyncGenerator<JobEvent, void> {
    const left = (principal.expiresAt ?? Infinity) - Date.now();
    const end = AbortSignal.any([signal, AbortSignal.timeout(Math.max(0, Math.min(left, MOST_TIMER_MS)))]);
    for await (const event of this.#jobs.events(id, end, after)) {
      if (!(await this.#maySee(principal, event.job))) return;
      yield event;
    }
  }

  async #maySee(principal: Principal, job: Job): Promise<boolean> {
    return job.requestedBy === principal.id || this.#access.canRead(principal, job.request);
  }
}

function notFound(id: string): StainError {
  return new StainError('JOB_NOT_FOUND', `There is no job ${id}.`);
}
