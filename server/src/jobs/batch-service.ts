/**
 * Batches: creates a job for each series, or for each slide of a series, a few at a time, as room allows. Users take
 * turns. A series that cannot be read at the moment is set aside while the others continue. After a crash, series
 * without a job get one later. Several processes can do this at once; they share the series between them.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Batch, BatchReport, NormalizationRequest } from '../../../core/src/contract/index.ts';
import { type ErrorCode, StainError, toStainError } from '../../../core/src/errors.ts';
import { DEFAULT_TRANSFER } from '../../../core/src/stain/transfer-name.ts';
import { sourceOfRefusal } from '../pipeline/series-identity.ts';
import { slidesToAskFor } from '../slide/several-slides.ts';
import {
  BatchRecords,
  type BatchRequest,
  type Fault,
  faultOf,
  type NewLine,
  type OpenLine,
} from './batch-records.ts';
import type { JobService } from './job-service.ts';
import { RULE_ROOM } from './room.ts';

/** Maximum number of series submitted at once: over all users, and for one user. */
const SUBMISSIONS = 4;
const SUBMISSIONS_OF_ONE_USER = 2;
/**
 * How many of these may be series that were set aside before, so that series that keep hanging do not block new ones.
 */
const MAX_TRIED_BEFORE = 2;
const ANY_ATTEMPT = 2 ** 31 - 1;
/**
 * Time limit of the first attempt at a series. Doubles with each attempt, so that a series that is merely slow succeeds
 * in the end.
 */
const TRY_SECONDS = 60;
const MAX_TRY_SECONDS = 960;
/** Additional time that a process has to record how an attempt ended. */
const LEASE_MARGIN_SECONDS = 30;
/** Delay before a series that was set aside is retried. Doubles each time, up to the maximum. */
const RETRY_SECONDS = 5;
const MAX_RETRY_SECONDS = 300;
/** How often to check for room, for series that are due and for batches of other processes. */
const POLL_MS = 5000;
const NEW_INSTANCES = 'Instances of the slide arrived after it was last checked.';
/** Matches the SHA-256 of no slide. */
const NOTHING_SEEN = '';
const MAX_LISTED = 100;

/** `submitted`: it has a job; `refused` and `skipped`: it gets none. */
export type LineMilestone = 'submitted' | 'fitted' | 'refused' | 'skipped' | 'set aside';

/** Identifies a series by its position in its batch, because its UIDs must not appear in logs. */
export interface BatchLineFacts {
  readonly batch: string;
  readonly line: number;
  /** If a rule took it up. */
  readonly rule?: string;
  /** Of the refusal or the fault. */
  readonly code?: string;
  /** Number of attempts that hit a transient fault. */
  readonly attempts: number;
}

export interface BatchServiceOptions {
  readonly jobs: JobService;
  /** How long to retry a series that cannot be read. Default 24. */
  readonly retryHours?: number;
  /** How long the instances of a slide must stay unchanged before it is normalised. Default 0: it is not checked. */
  readonly stableSeconds?: number;
  /** Maximum number of unfinished batches per user. Default 20. */
  readonly batchesPerUser?: number;
  /** For tests: the time limit of the first attempt, the delay after it and the polling interval. */
  readonly trySeconds?: number;
  readonly retrySeconds?: number;
  readonly pollMs?: number;
  /** Fits a slide and keeps the fit, for rules that do no more. @throws REQUEST_INVALID and whatever fitting throws */
  fit?(request: NormalizationRequest, signal: AbortSignal): Promise<void>;
  /** Called when a series is dealt with, or set aside. */
  onLine?(what: LineMilestone, facts: BatchLineFacts): void;
  onFault(error: unknown): void;
}

export class BatchService {
  readonly #options: BatchServiceOptions;
  readonly #records: BatchRecords;
  readonly #end = new AbortController();
  /** Series being submitted now. */
  readonly #inWork = new Map<Promise<void>, OpenLine>();
  #woken = Promise.withResolvers<void>();
  readonly #done: Promise<void>;

  constructor(options: BatchServiceOptions) {
    this.#options = options;
    this.#records = new BatchRecords(options.jobs.database);
    this.#done = this.#submitAll();
  }

  /** @throws QUEUE_FULL if the user has too many unfinished batches */
  async create(requestedBy: string, request: BatchRequest, lines: readonly NewLine[]): Promise<Batch> {
    const { batchesPerUser = 20 } = this.#options;
    if ((await this.#records.countOpen(requestedBy)) >= batchesPerUser)
      throw new StainError(
        'QUEUE_FULL',
        `You have ${batchesPerUser} batches with series that have no job yet.`,
        {
          data: { batchesPerUser },
        },
      );
    const id = randomUUID();
    await this.#records.insert(id, requestedBy, request, lines);
    this.#woken.resolve();
    return this.get(id);
  }

  /** @throws BATCH_NOT_FOUND */
  async get(id: string): Promise<Batch> {
    const found = await this.#records.find(id);
    if (!found) throw new StainError('BATCH_NOT_FOUND', `There is no batch ${id}.`);
    return found;
  }

  /** @throws BATCH_NOT_FOUND */
  async report(id: string): Promise<BatchReport> {
    return { ...(await this.get(id)), series: await this.#records.series(id) };
  }

  list(requestedBy: string | undefined): Promise<Batch[]> {
    return this.#records.list(requestedBy, MAX_LISTED);
  }

  /** Counts the series without a job, over all batches. */
  statistics(): Promise<{ waiting: number; setAside: number }> {
    return this.#records.countLines();
  }

  /** Cancels the batch and the jobs created for it; finished jobs keep their results. @throws BATCH_NOT_FOUND */
  async cancel(id: string): Promise<Batch> {
    await this.get(id);
    const jobs = await this.#records.cancel(id, {
      state: 'REFUSED',
      code: 'CANCELLED',
      message: 'The batch was cancelled.',
    });
    for (const job of jobs) await this.#cancelJob(job);
    return this.get(id);
  }

  /**
   * Another attempt at whatever was refused or failed in a batch, or at one line of a batch or a rule. @returns the
   * number of slides; 0 for a cancelled batch. @throws BATCH_NOT_FOUND
   */
  async retry(id: string, line?: { readonly position: number; readonly part: number }): Promise<number> {
    if (!line) await this.get(id);
    const retried = await (line
      ? this.#records.retryLine({ batch: id, ...line })
      : this.#records.retryBatch(id));
    this.#woken.resolve();
    return retried;
  }

  /** Another attempt at the line whose job failed. @returns false if it is not of a batch, or of a cancelled one */
  async retryJob(job: string): Promise<boolean> {
    const retried = await this.#records.retryJob(job);
    this.#woken.resolve();
    return retried > 0;
  }

  async close(): Promise<void> {
    this.#end.abort();
    this.#woken.resolve();
    await this.#done;
  }

  async #submitAll(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      // Set before looking for work, so that work that arrives in the meantime also wakes the loop.
      this.#woken = Promise.withResolvers();
      const line = await this.#claim();
      if (!line) await this.#rest();
      else {
        const work = this.#submit(line)
          // The failure could not even be recorded: the lease expires and the series is retried.
          .catch(this.#options.onFault)
          .finally(() => {
            this.#inWork.delete(work);
            this.#woken.resolve();
          });
        this.#inWork.set(work, line);
      }
    }
    await Promise.all(this.#inWork.keys());
  }

  /** Returns undefined if there is nothing to do now. */
  async #claim(): Promise<OpenLine | undefined> {
    const lines = [...this.#inWork.values()];
    if (lines.length >= SUBMISSIONS) return undefined;
    const busy = [...Map.groupBy(lines, ({ requestedBy }) => requestedBy)]
      .filter(([, some]) => some.length >= SUBMISSIONS_OF_ONE_USER)
      .map(([user]) => user);
    // A series being submitted is not a job yet, but takes up room.
    const left = (limit: number): number => Math.max(1, limit - lines.length);
    const { maxQueuedJobs, jobsPerUser } = this.#options.jobs.roomForBatches;
    const room = { maxQueuedJobs: left(maxQueuedJobs), jobsPerUser: left(jobsPerUser) };
    const ofRules = lines.filter(({ rule, fits }) => rule !== undefined && !fits).length;
    const ruleRoom = { runnable: Math.max(0, RULE_ROOM.runnable - ofRules) };
    try {
      const tried = lines.filter(({ attempts }) => attempts > 0).length;
      const lease = {
        seconds: this.#trySeconds + LEASE_MARGIN_SECONDS,
        maxSeconds: MAX_TRY_SECONDS + LEASE_MARGIN_SECONDS,
      };
      const maxDelaySeconds = Math.max(lease.maxSeconds, this.#stableSeconds) + LEASE_MARGIN_SECONDS;
      const attempts = tried < MAX_TRIED_BEFORE ? ANY_ATTEMPT : 0;
      return await this.#records.claim(room, ruleRoom, busy, attempts, lease, maxDelaySeconds);
    } catch (error) {
      this.#options.onFault(error);
      return undefined;
    }
  }

  /** @throws if the database cannot record the outcome */
  async #submit(line: OpenLine): Promise<void> {
    const { jobs } = this.#options;
    const { studyInstanceUid, seriesInstanceUid, slide, requestedBy, request, attempts } = line;
    const { batch, rule, priority, fits } = line;
    const seconds = Math.min(this.#trySeconds * 2 ** attempts, MAX_TRY_SECONDS);
    const late = AbortSignal.timeout(seconds * 1000);
    try {
      const origin = { requestedBy, priority, batch, rule } as const;
      // Batches of older versions do not name a transfer.
      const { transfer = DEFAULT_TRANSFER } = request;
      const wanted = { ...request, transfer, studyInstanceUid, seriesInstanceUid, slide };
      const signal = AbortSignal.any([this.#end.signal, late]);
      // Nobody watches what a batch picks up: without this check, half of an arriving slide would be normalised.
      const expected = this.#stableSeconds > 0 ? (line.seen ?? NOTHING_SEEN) : undefined;
      if (fits) {
        await jobs.inspect(wanted, signal, { expectedSource: expected, isWholeExpected: true });
        await this.#options.fit!(wanted, signal);
        await this.#records.setFitted(line);
        this.#tell('fitted', line);
        return;
      }
      const { job, existing } = await jobs.create(wanted, origin, signal, expected);
      // The line was cancelled while its job was being created, so cancel the job too, unless somebody else also asked
      // for it.
      if (!(await this.#records.setJob(line, job.id)) && !existing) await this.#cancelJob(job.id);
      this.#tell('submitted', line);
    } catch (thrown) {
      const error = toStainError(thrown);
      const several = sourceOfRefusal(thrown);
      const slides = slide === undefined ? slidesToAskFor(thrown) : [];
      if (this.#end.signal.aborted || error.code === 'SHUTTING_DOWN') await this.#records.requeue(line, 0);
      else if (error.code === 'QUEUE_FULL') await this.#records.requeue(line, RETRY_SECONDS);
      else if (error.code === 'DATABASE_UNAVAILABLE') throw error;
      else if (error.code === 'SERIES_ARRIVING')
        await this.#lookAgain(line, String(error.data['sourceSha256']), error.message);
      // While slides still arrive, it is too early to say which image belongs to which.
      else if (several !== undefined && this.#stableSeconds > 0 && line.seen !== several)
        await this.#lookAgain(line, several);
      else if (slides.length > 0) await this.#records.split(line, slides);
      else if (error.code === 'ALREADY_NORMALIZED') {
        await this.#records.refuse(line, skipped(error.message));
        this.#tell('skipped', line, error.code);
      } else if (late.aborted)
        await this.#meetFault(line, {
          code: 'ARCHIVE_TIMEOUT' satisfies ErrorCode,
          message: `The archive did not return the series within ${seconds} s.`,
        });
      // A busy machine fits slowly.
      else if (error.isTransient || (fits && error.code === 'FIT_TIMED_OUT'))
        await this.#meetFault(line, error);
      else await this.#refuse(line, faultOf(thrown, this.#options.onFault));
    }
  }

  /** The first check only records what is there; if a later one finds other instances, the slide is still arriving. */
  async #lookAgain(line: OpenLine, found: string, message = NEW_INSTANCES): Promise<void> {
    const { retryHours = 24 } = this.#options;
    const { seen, waitedSeconds } = line;
    const arriving = { code: 'SERIES_ARRIVING' satisfies ErrorCode, message };
    if (waitedSeconds >= retryHours * 3600) return this.#refuse(line, arriving);
    const fault = seen === undefined ? undefined : arriving;
    // A slide without its base level is checked again even if nothing else is awaited.
    await this.#records.lookAgain(line, found, this.#stableSeconds || RETRY_SECONDS, fault);
  }

  /** Sets the line aside, unless it has been hitting transient faults for too long. */
  async #meetFault(line: OpenLine, { code, message }: Fault): Promise<void> {
    const { retryHours = 24, retrySeconds = RETRY_SECONDS } = this.#options;
    const { attempts, waitedSeconds } = line;
    if (waitedSeconds >= retryHours * 3600) return this.#refuse(line, { code, message });
    const seconds = Math.min(retrySeconds * 2 ** attempts, MAX_RETRY_SECONDS);
    await this.#records.setAside(line, { code, message }, seconds);
    this.#tell('set aside', { ...line, attempts: attempts + 1 }, code);
  }

  async #refuse(line: OpenLine, { code, message }: Fault): Promise<void> {
    await this.#records.refuse(line, { state: 'REFUSED', code, message });
    this.#tell('refused', line, code);
  }

  #tell(what: LineMilestone, { batch, position, rule, attempts }: OpenLine, code?: string): void {
    this.#options.onLine?.(what, {
      batch,
      line: position,
      ...(rule !== undefined && { rule }),
      ...(code !== undefined && { code }),
      attempts,
    });
  }

  async #cancelJob(id: string): Promise<void> {
    await this.#options.jobs.cancel(id).catch((error: unknown) => {
      if (toStainError(error).code !== 'JOB_FINISHED') throw error;
    });
  }

  get #stableSeconds(): number {
    return this.#options.stableSeconds ?? 0;
  }

  get #trySeconds(): number {
    return this.#options.trySeconds ?? TRY_SECONDS;
  }

  async #rest(): Promise<void> {
    const over = new AbortController();
    const ms = this.#options.pollMs ?? POLL_MS;
    const polled = pause(ms, undefined, { signal: over.signal, ref: false }).catch(() => {});
    await Promise.race([this.#woken.promise, polled]);
    over.abort();
  }
}

/** The refusal of a series that is itself a result of this product. */
export function skipped(message: string): NonNullable<NewLine['refusal']> {
  return { state: 'SKIPPED', code: 'ALREADY_NORMALIZED' satisfies ErrorCode, message };
}
