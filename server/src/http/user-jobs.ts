/**
 * The jobs that one user may see and control: the user's own, and those for series that the archive shows the user. A
 * job that may not be seen does not exist for the user.
 */

import type {
  ArchiveNames,
  Job,
  JobEvent,
  JobListQuery,
  NormalizationRequest,
} from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { type Access, requireAccess } from '../auth/access.ts';
import type { Principal } from '../auth/principal.ts';
import { hiding } from '../auth/refusal.ts';
import type { JobFilter, JobOrigin } from '../jobs/job-records.ts';
import type { JobService } from '../jobs/job-service.ts';
import { serviceKey } from '../jobs/service-key.ts';
import { openCursor, sealCursor } from './list-cursor.ts';

/** Number of archive queries made at once for one list. */
const PROBES_AT_ONCE = 10;
/** Number of jobs (of all users) read at once, and the maximum number read for one page. */
const READ_AT_ONCE = 100;
const MAX_LOOKED_AT = 1000;
/** The longest delay of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class UserJobs {
  readonly #jobs: JobService;
  readonly #access: Access;
  readonly #requireArchives: (names: ArchiveNames) => void;
  #cursorKey: Promise<Buffer> | undefined;

  /** @param requireArchives throws ARCHIVE_NOT_FOUND, ARCHIVE_READ_ONLY */
  constructor(jobs: JobService, access: Access, requireArchives: (names: ArchiveNames) => void) {
    this.#jobs = jobs;
    this.#access = access;
    this.#requireArchives = requireArchives;
  }

  /**
   * A UID for the work item is taken if the user has, or may see, a work item with that UID. Otherwise it is free, even
   * if another user has one: whoever may not see a work item does not learn of it.
   * @throws ARCHIVE_NOT_FOUND, ARCHIVE_READ_ONLY, SERIES_NOT_FOUND, WORKITEM_EXISTS, and whatever `JobService.create` throws
   */
  async create(
    principal: Principal,
    request: NormalizationRequest,
    origin: Omit<JobOrigin, 'requestedBy'>,
    signal: AbortSignal,
  ): Promise<{ job: Job; existing: boolean }> {
    this.#requireArchives(request);
    await requireAccess(this.#access, principal, request);
    const { workitemUid } = origin;
    if (workitemUid !== undefined && (await this.#visibleWorkitem(principal, workitemUid)).found)
      throw new StainError('WORKITEM_EXISTS', 'There is already a work item with this UID.');
    const { job, existing } = await this.#jobs.create(
      request,
      { ...origin, requestedBy: principal.id },
      signal,
    );
    return { job: toldTo(principal, job), existing };
  }

  /** @throws JOB_NOT_FOUND */
  async get(principal: Principal, id: string): Promise<Job> {
    const job = await this.#jobs.get(id);
    if (!(await this.#maySee(principal, job))) throw hiding(notFound(id));
    return toldTo(principal, job);
  }

  /** The user's own, if others have chosen the same UID. @throws WORKITEM_NOT_FOUND */
  async getWorkitem(principal: Principal, uid: string): Promise<Job> {
    const { found, isHidden } = await this.#visibleWorkitem(principal, uid);
    if (found) return toldTo(principal, found);
    const error = new StainError('WORKITEM_NOT_FOUND', `There is no work item ${uid}.`);
    throw isHidden ? hiding(error) : error;
  }

  /**
   * A page is full as long as there are jobs that the user may see, and has a cursor only if there are more: a short
   * page reveals nothing about other users' jobs. However, at most `MAX_LOOKED_AT` jobs are read for one page.
   * @throws REQUEST_INVALID if the cursor is not valid
   */
  async list(principal: Principal, query: JobListQuery): Promise<{ jobs: Job[]; next: string | null }> {
    const { limit, cursor, ...filter } = query;
    this.#cursorKey ??= serviceKey(this.#jobs.database, 'cursors of lists').catch((error: unknown) => {
      this.#cursorKey = undefined;
      throw error;
    });
    const key = await this.#cursorKey;
    const after = cursor === undefined ? undefined : openCursor(key, principal.id, cursor);
    const found: { job: Job; cursor: string }[] = [];
    let next: string | null = null;
    for await (const item of this.#walk(principal, { ...filter, cursor: after }, MAX_LOOKED_AT)) {
      if ('end' in item) next = item.end;
      else if (found.length < limit) found.push(item);
      else {
        next = found.at(-1)!.cursor;
        break;
      }
    }
    return {
      jobs: found.map(({ job }) => job),
      next: next === null ? null : sealCursor(key, principal.id, next),
    };
  }

  /** The jobs that the user may see, newest first, among the newest `maxItems` of all users. */
  async *visible(
    principal: Principal,
    filter: Omit<JobFilter, 'limit' | 'cursor'>,
    maxItems: number,
  ): AsyncGenerator<Job, void> {
    for await (const item of this.#walk(principal, filter, maxItems)) if ('job' in item) yield item.job;
  }

  /** @throws JOB_NOT_FOUND, JOB_FINISHED; FORBIDDEN for a job of another user */
  async cancel(principal: Principal, id: string): Promise<Job> {
    const { requestedBy } = await this.get(principal, id);
    if (requestedBy !== principal.id && !principal.scopes.has('administer'))
      throw new StainError('FORBIDDEN', 'Only the requester and administrators can cancel a job.');
    return this.#jobs.cancel(id);
  }

  /**
   * Like `JobService.events`, as long as the token is valid and the archive shows the series. A job that the user may
   * not see has no events.
   * @throws JOB_NOT_FOUND
   */
  async *events(
    principal: Principal,
    id: string,
    signal: AbortSignal,
    after?: string,
  ): AsyncGenerator<JobEvent, void> {
    const left = (principal.expiresAt ?? Infinity) - Date.now();
    const end = AbortSignal.any([signal, AbortSignal.timeout(Math.max(0, Math.min(left, MAX_TIMER_MS)))]);
    for await (const event of this.#jobs.events(id, end, after)) {
      if (!(await this.#maySee(principal, event.job))) return;
      yield { ...event, job: toldTo(principal, event.job) };
    }
  }

  /** Returns where it stopped if it has read `maxItems` jobs and there are more. */
  async *#walk(
    principal: Principal,
    filter: Omit<JobFilter, 'limit'>,
    maxItems: number,
  ): AsyncGenerator<{ job: Job; cursor: string } | { end: string }, void> {
    let { cursor } = filter;
    for (let lookedAt = 0; lookedAt < maxItems; lookedAt += READ_AT_ONCE) {
      const { jobs, cursors, next } = await this.#jobs.list({ ...filter, cursor, limit: READ_AT_ONCE });
      for (let begin = 0; begin < jobs.length; begin += PROBES_AT_ONCE) {
        const some = jobs.slice(begin, begin + PROBES_AT_ONCE);
        // If the archive is away, nobody may see anything.
        const isVisible = await Promise.all(
          some.map((job) => this.#maySee(principal, job).catch(() => false)),
        );
        for (const [i, job] of some.entries())
          if (isVisible[i]) yield { job: toldTo(principal, job), cursor: cursors[begin + i]! };
      }
      if (next === null) return;
      cursor = next;
    }
    if (cursor !== undefined) yield { end: cursor };
  }

  async #visibleWorkitem(
    principal: Principal,
    uid: string,
  ): Promise<{ found: Job | undefined; isHidden: boolean }> {
    const all = await this.#jobs.findWorkitems(uid);
    const own = all.find(({ requestedBy }) => requestedBy === principal.id);
    if (own) return { found: own, isHidden: false };
    // UIDs can be guessed: an unreachable archive must not reveal that there is something to check.
    for (const job of all)
      if (await this.#maySee(principal, job).catch(() => false)) return { found: job, isHidden: false };
    return { found: undefined, isHidden: all.length > 0 };
  }

  async #maySee(principal: Principal, job: Job): Promise<boolean> {
    if (job.requestedBy === principal.id) return true;
    return this.#access.canRead(principal, job.request).catch((error: unknown) => {
      // Nobody can be asked any more.
      if (toStainError(error).code === 'ARCHIVE_NOT_FOUND') return false;
      throw error;
    });
  }
}

/** Only the requester and administrators see the batch of a job. */
function toldTo({ id, scopes }: Principal, job: Job): Job {
  return job.requestedBy === id || scopes.has('administer') ? job : { ...job, batch: null };
}

function notFound(id: string): StainError {
  return new StainError('JOB_NOT_FOUND', `There is no job ${id}.`);
}
