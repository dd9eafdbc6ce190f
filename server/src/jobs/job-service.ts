/**
 * Jobs as the rest of the product sees them: create, watch, cancel. They run one after the other and survive restarts.
 * With a PostgreSQL server several processes share the work: some answer requests, some run jobs.
 */
import { randomUUID } from 'node:crypto';
import {
  type ArchiveNames,
  isFinal,
  type Job,
  type JobEvent,
  type JobState,
  type NormalizationRequest,
  type NormalizationResult,
} from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { LOCAL } from '../auth/principal.ts';
import type { Config } from '../config.ts';
import { uidFromUuid } from '../dicom/uid.ts';
import { type Derivation, type Revisions, revisionOf } from '../pipeline/derivations.ts';
import type { SourceImages } from '../pipeline/derived-headers.ts';
import type { SeriesIdentity } from '../pipeline/series-identity.ts';
import {
  type Fingerprint,
  pinned,
  requireSettled,
  type SeriesContent,
  seriesContent,
} from '../pipeline/series-identity.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import type { StoredDerivation } from '../pipeline/stored-derivations.ts';
import { type Database, openDatabase } from './database.ts';
import { databaseFault } from './database-fault.ts';
import { DerivationTable } from './derivation-records.ts';
import { type JobFilter, type JobOrigin, type JobPage, JobRecords, type Ticket } from './job-records.ts';
import { type Asker, type RoomLimits, roomFor } from './room.ts';
import { type RunNormalization, RunningJob } from './running-job.ts';
import { Watchers } from './watchers.ts';

const QUEUE = 'normalization';

const HEARTBEAT_SECONDS = 30;

/** A job that was running each time the service died, without progress, is given up: it may be the cause. */
const MAX_UNEXPLAINED_RUNS = 5;

/** Our own time limit ends a job first; the queue's limit is for a process that hangs. */
const EXPIRY_MARGIN_SECONDS = 10 * 60;

/** Delay before a requeued job is retried. Doubles each time, up to the maximum. */
const RETRY_SECONDS = 5;
const MAX_RETRY_SECONDS = 300;
/** Nothing is put off for longer, unless the clock of the database was set back. */
const FROZEN_SECONDS = MAX_RETRY_SECONDS + 60;

/** Jobs retried at once when room in the spool is released. */
const MAX_HURRIED = 2;

/**
 * How often to look for jobs without a ticket, left by a process that died between writing the record and the ticket,
 * and for tickets that a clock has put off.
 */
const SWEEP_MS = 60_000;

/**
 * Keeps a waiting job for a year, the longest that pg-boss allows; its default of 14 days would drop jobs from a long
 * queue.
 */
const RETENTION_SECONDS = 365 * 24 * 60 * 60;

export type JobMilestone = 'created' | 'started' | 'requeued' | 'ended';

/** What a request refers to, as far as headers tell. */
export interface Inspected extends Fingerprint {
  /** Whether this product made the series. */
  readonly isResult?: boolean;
  /** Whether the finest level is itself resampled from one that is not there. */
  readonly lacksBase?: boolean;
  readonly slide?: SourceImages;
}

/** Where the result of a request is, or will be. */
export type ResultPlace = ArchiveNames & Pick<NormalizationRequest, 'studyInstanceUid'>;

export interface JobServiceOptions {
  readonly database: { readonly directory: string; readonly url?: string | undefined };
  readonly run: RunNormalization;
  /**
   * Content hashes of what a request names, and what its slide is.
   * @throws TEMPLATE_NOT_FOUND, MODEL_NOT_FOUND
   */
  fingerprint(request: NormalizationRequest, signal: AbortSignal): Promise<Inspected>;
  /** The files of the work are no longer needed. */
  release(identity: SeriesIdentity): Promise<void>;
  /** The job has failed; its files are useful only if the same work is requested again. */
  retain(identity: SeriesIdentity): Promise<void>;
  /** Whether the archive still holds the complete series that a job made, and nobody has rejected it. */
  isStored(result: NormalizationResult, names: ArchiveNames, signal: AbortSignal): Promise<boolean>;
  /** Whether a series, or part of it, was rejected. */
  isRejected(series: SeriesReference, names: ArchiveNames, signal: AbortSignal): Promise<boolean>;
  /** The newest revision in the archive, for a database that has no record of one. */
  findStored(
    content: SeriesContent,
    place: ResultPlace,
    slide: SourceImages | undefined,
    signal: AbortSignal,
  ): Promise<StoredDerivation | undefined>;
  readonly limits: Pick<Config['limits'], 'jobTimeoutMinutes'> & RoomLimits;
  /** Slides processed at the same time by this process. Default 1; 0 if other processes run the jobs. */
  readonly concurrency?: number;
  /** How long a worker on a server may be silent before it is presumed dead. Default 30, minimum 10. */
  readonly heartbeatSeconds?: number;
  /** How long a job without progress is retried after transient faults. Default 24. */
  readonly retryHours?: number;
  readonly abortGraceMs?: number;
  readonly saveEveryMs?: number;
  /** How often tickets are held against the records. Default 60 s. */
  readonly sweepMs?: number;
  /** How often watchers poll a job that runs in another process. */
  readonly pollMs?: number;
  /** Called when a job changes in this process: `created` where it was requested, the rest where it runs. */
  onJob?(what: JobMilestone, job: Job): void;
  /** Called with errors that reach no caller. */
  onFault(error: unknown): void;
}

export class JobService {
  readonly #options: JobServiceOptions;
  readonly #database: Database;
  readonly #records: JobRecords;
  readonly #derivations: DerivationTable;
  readonly #watchers: Watchers<Job>;
  readonly #running = new Map<string, RunningJob>();
  readonly #attempts = new Set<Promise<unknown>>();
  #worker: string | undefined;
  #sweep: NodeJS.Timeout | undefined;
  #closing: Promise<void> | undefined;

  private constructor(options: JobServiceOptions, database: Database) {
    this.#options = options;
    this.#database = database;
    this.#records = new JobRecords(database);
    this.#derivations = new DerivationTable(database);
    this.#watchers = new Watchers({ read: (id) => this.get(id), pollMs: options.pollMs ?? 1000 });
  }

  /** The room for batch jobs. */
  get roomForBatches(): RoomLimits {
    return roomFor('batch', this.#options.limits);
  }

  /** How series are derived, by jobs and otherwise. */
  get derivations(): DerivationTable {
    return this.#derivations;
  }

  /** For other records kept in the same database. */
  get database(): Database {
    return this.#database;
  }

  /**
   * Opens the database, requeues what a stop or a crash left unfinished, and starts to work.
   * @throws DATABASE_UNAVAILABLE, CONFIGURATION_INVALID, DATABASE_NEWER
   */
  static async open(options: JobServiceOptions): Promise<JobService> {
    const heartbeatSeconds = options.heartbeatSeconds ?? HEARTBEAT_SECONDS;
    const database = await openDatabase({ ...options.database, heartbeatSeconds, onError: options.onFault });
    try {
      const service = new JobService(options, database);
      await service.#start();
      return service;
    } catch (error) {
      await database.close();
      throw databaseFault(error);
    }
  }

  /**
   * `existing` means that the same work is waiting, running or done, and no second job was created. After a job that
   * failed or was cancelled, a new one completes the same series; if the series is gone or was rejected, a new job
   * makes the next revision.
   * @param expectedSource SHA-256 of the slide's instances when they were last checked
   * @throws QUEUE_FULL, WORKITEM_EXISTS, SHUTTING_DOWN, ALREADY_NORMALIZED, SERIES_ARRIVING if the slide has other
   * instances now, and whatever `fingerprint`, `isStored` and `findStored` throw
   */
  async create(
    request: NormalizationRequest,
    origin: JobOrigin,
    signal: AbortSignal,
    expectedSource?: string,
  ): Promise<{ job: Job; existing: boolean }> {
    this.#requireOpen();
    const asker: Asker =
      origin.rule === undefined ? (origin.batch === undefined ? 'person' : 'batch') : 'rule';
    const { slide, ...fingerprint } = await this.inspect(request, signal, {
      expectedSource,
      isWholeExpected: asker === 'rule',
    });
    const content = seriesContent(request, fingerprint);
    // The job runs with the content that the request names now.
    const meant = pinned(request, fingerprint);
    for (;;) {
      const same = await this.#records.findSame(content.content);
      const isValid =
        same &&
        !same.rejected &&
        (!same.result || (await this.#options.isStored(same.result, request, signal)));
      if (isValid) {
        const promoted = origin.priority === 'interactive' ? await this.#promote(same, origin) : undefined;
        return { job: this.#newest(promoted ?? same), existing: true };
      }
      const { maxQueuedJobs, jobsPerUser } = roomFor(asker, this.#options.limits);
      if (
        origin.requestedBy !== LOCAL.id &&
        (await this.#records.countUnfinished(origin.requestedBy, asker)) >= jobsPerUser
      )
        throw new StainError('QUEUE_FULL', `You have ${jobsPerUser} unfinished jobs.`, {
          data: { jobsPerUser },
        });
      if ((await this.#records.countScheduled(asker)) >= maxQueuedJobs)
        throw new StainError('QUEUE_FULL', `${maxQueuedJobs} jobs are already waiting; try again later.`, {
          data: { maxQueuedJobs },
        });
      const identity = await this.identify(content, request, slide, signal);
      const made = await this.#records.insert(randomUUID(), content.content, identity, meant, origin);
      const { workitemUid, requestedBy } = origin;
      const taken = made || !workitemUid ? [] : await this.#records.findWorkitems(workitemUid);
      if (taken.some((job) => job.requestedBy === requestedBy))
        throw new StainError('WORKITEM_EXISTS', 'You already have a work item with this UID.');
      // If another request was faster, the next iteration finds its job, unless that has ended too.
      if (!made) continue;
      await this.#enqueue(made.ticket);
      this.#options.onJob?.('created', made.job);
      return { job: this.#newest(made.job), existing: false };
    }
  }

  /**
   * Whatever can be refused before the work.
   * @param expected what is known of the slide: SHA-256 of its instances when they were last checked, and whether its
   * base level must be there
   * @throws ALREADY_NORMALIZED, SERIES_ARRIVING with `data.sourceSha256`, and whatever `fingerprint` throws
   */
  async inspect(
    request: NormalizationRequest,
    signal: AbortSignal,
    expected: { readonly expectedSource: string | undefined; readonly isWholeExpected: boolean },
  ): Promise<Inspected> {
    const inspected = await this.#options.fingerprint(request, signal);
    const { isResult, lacksBase, sourceSha256 } = inspected;
    if (isResult) throw new StainError('ALREADY_NORMALIZED', 'The series was made by this product.');
    requireSettled(inspected, expected.expectedSource);
    if (lacksBase && expected.isWholeExpected)
      throw new StainError(
        'SERIES_ARRIVING',
        'The finest level of the slide is resampled: its base level has not arrived.',
        { data: { sourceSha256 } },
      );
    return inspected;
  }

  /**
   * Identity of the series that a new job would make; it is recorded.
   * @throws whatever `isStored` and `findStored` throw
   */
  identify(
    content: SeriesContent,
    { studyInstanceUid, source, destination }: ResultPlace,
    slide: SourceImages | undefined,
    signal: AbortSignal,
  ): Promise<SeriesIdentity> {
    const names = { source, destination };
    const table = this.#derivations;
    const isGone = async ({ identity, wasStored }: Derivation): Promise<boolean> => {
      if (await this.#records.isRejected(identity)) return true;
      const result = await this.#records.resultOf(identity);
      if (result) return !(await this.#options.isStored(result, names, signal));
      const seriesInstanceUid = uidFromUuid(identity.seriesUuid);
      const series = { studyInstanceUid, seriesInstanceUid };
      return wasStored && (await this.#options.isRejected(series, names, signal));
    };
    const revisions: Revisions = {
      newest: async () => {
        let newest = await table.newest(content);
        if (!newest) {
          const place = { studyInstanceUid, ...names };
          const found = await this.#options.findStored(content, place, slide, signal);
          if (found) await table.add({ ...content, content: found.content }, found.identity, found);
          newest = await table.newest(content);
        }
        if (!newest) return undefined;
        const wasStored = newest.wasStored || (await this.#records.wasStored(newest.identity));
        const known = { ...newest, wasStored };
        const isSame = newest.content === content.content;
        return { ...known, isOver: newest.isOver || (isSame && (await isGone(known))) };
      },
      add: (...revision) => table.add(...revision),
    };
    return revisionOf(content, revisions);
  }

  /**
   * Takes over a series in the archive that was stored by somebody else, such as the command line. Its header says how
   * it was derived, and that overrides whatever was recorded before.
   * @returns false if the series is known to be ours, or if its header does not say
   */
  async adopt(
    content: SeriesContent,
    place: ResultPlace,
    slide: SourceImages,
    signal: AbortSignal,
  ): Promise<boolean> {
    const known = await this.#derivations.newest(content);
    if (known && (known.wasStored || (await this.#records.wasStored(known.identity)))) return false;
    const found = await this.#options.findStored(content, place, slide, signal);
    if (!found?.facts || found.content !== content.content || found.isOver) return false;
    await this.#derivations.adopt(found.identity, found.facts);
    return true;
  }

  /** @throws JOB_NOT_FOUND */
  async get(id: string): Promise<Job> {
    const job = await this.#records.find(id);
    if (!job) throw new StainError('JOB_NOT_FOUND', `There is no job ${id}.`);
    return this.#newest(job);
  }

  /** The work items with this UID, of all users. */
  async findWorkitems(uid: string): Promise<Job[]> {
    return (await this.#records.findWorkitems(uid)).map((job) => this.#newest(job));
  }

  /** The cursors come from the records and reveal how many jobs there are: do not pass them to users. */
  async list(filter: JobFilter): Promise<JobPage> {
    const page = await this.#records.list(filter);
    return { ...page, jobs: page.jobs.map((job) => this.#newest(job)) };
  }

  /** Unfinished jobs, running ones first, then those that wait in the order in which they will run. */
  async queue(limit: number): Promise<Job[]> {
    return (await this.#records.queue(limit)).map((job) => this.#newest(job));
  }

  /**
   * A waiting job is CANCELED when this returns. A running job has `cancelRequested` set and is CANCELED once it has
   * stopped.
   * @throws JOB_NOT_FOUND, JOB_FINISHED
   */
  async cancel(id: string): Promise<Job> {
    const job = await this.#records.requestCancel(id);
    if (!job) {
      const { state } = await this.get(id);
      throw new StainError('JOB_FINISHED', `The job has already ended: ${state}.`, { data: { state } });
    }
    if (isFinal(job.state)) {
      await this.#database.limited(() => this.#database.boss.deleteJob(QUEUE, id));
      await this.#options.release(await this.#records.identity(id)).catch(this.#options.onFault);
      await this.#hurry();
    }
    this.#running.get(id)?.cancel();
    this.#watchers.wake(id);
    return this.#newest(job);
  }

  /**
   * Yields the job as it is now, then after each change, up to its final state. A slow reader misses intermediate
   * states, but never the last one. Ends early if `signal` is aborted or the service closes.
   * @param after revision that the reader already has, which is not sent again. @throws JOB_NOT_FOUND
   */
  async *events(id: string, signal: AbortSignal, after?: string): AsyncGenerator<JobEvent, void> {
    const watch = this.#watchers.watch(id);
    try {
      let isOpen = false;
      for (let known = after; !signal.aborted && !this.#closing; ) {
        const job = await watch.look().catch((error: unknown) => {
          // A watcher that is already connected gets the next state when the database is back.
          if (!isOpen || toStainError(error).code !== 'DATABASE_UNAVAILABLE') throw error;
        });
        isOpen = true;
        if (job) {
          if (job.revision !== known) yield { id: job.revision, job };
          if (isFinal(job.state)) return;
          known = job.revision;
        }
        await watch.next(signal);
      }
    } finally {
      watch.close();
    }
  }

  /** Whether the jobs for a series have ended and left nothing to resume. */
  isOver(seriesUuid: string): Promise<boolean> {
    return this.#records.isOver(seriesUuid);
  }

  /** @throws if the database does not answer or accepts no writes */
  async ping(): Promise<void> {
    this.#requireOpen();
    await this.#records.requireWritable();
  }

  /** Jobs by state, and the waiting time of the oldest runnable job. */
  statistics(): Promise<{ byState: Partial<Record<JobState, number>>; oldestWaitingSeconds: number }> {
    return this.#records.statistics();
  }

  /** Accepts no more jobs. Running jobs are requeued; they continue in another process or at the next start. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    clearInterval(this.#sweep);
    if (this.#worker) await this.#database.boss.offWork(QUEUE, { wait: false });
    this.#watchers.wakeAll();
    for (const running of this.#running.values()) running.interrupt();
    await Promise.allSettled(this.#attempts);
    await this.#database.close();
  }

  async #start(): Promise<void> {
    const { boss, embedded } = this.#database;
    await boss.createQueue(QUEUE);
    await boss.updateQueue(QUEUE, {
      expireInSeconds: Math.ceil(this.#options.limits.jobTimeoutMinutes * 60) + EXPIRY_MARGIN_SECONDS,
      retentionSeconds: RETENTION_SECONDS,
      // Requeued jobs come back as retries; the record decides how often.
      retryLimit: 100_000,
      retryDelay: RETRY_SECONDS,
      retryBackoff: true,
      retryDelayMax: MAX_RETRY_SECONDS,
      heartbeatSeconds: embedded ? null : (this.#options.heartbeatSeconds ?? HEARTBEAT_SECONDS),
    });
    // No other process uses an embedded database: all tickets are leftovers and are rewritten from the records.
    if (embedded) {
      await this.#records.recover();
      await boss.deleteAllJobs(QUEUE);
    }
    await this.#sendMissingTickets();
    this.#sweep = setInterval(
      () => void this.#sweepTickets().catch(this.#options.onFault),
      this.#options.sweepMs ?? SWEEP_MS,
    ).unref();
    const localConcurrency = this.#options.concurrency ?? 1;
    if (localConcurrency === 0) return;
    const options = { localConcurrency, pollingIntervalSeconds: 1 };
    this.#worker = await boss.work(QUEUE, options, async ([ticket]) => {
      const attempt = this.#attempt(ticket!.id);
      this.#attempts.add(attempt);
      await attempt.finally(() => this.#attempts.delete(attempt));
    });
  }

  /** A person does not wait for the turn of a batch or a rule. */
  async #promote({ id, state }: Job, { requestedBy }: JobOrigin): Promise<Job | undefined> {
    if (state !== 'SCHEDULED') return undefined;
    const promoted = await this.#records.promote(id, requestedBy);
    if (!promoted) return undefined;
    const { boss } = this.#database;
    await this.#database.limited(() => boss.update(QUEUE, undefined, { ...promoted.ticket }));
    this.#watchers.wake(id);
    return promoted.job;
  }

  async #enqueue(ticket: Ticket): Promise<void> {
    await this.#database.limited(() => this.#database.boss.send(QUEUE, {}, { ...ticket }));
    if (this.#worker) this.#database.boss.notifyWorker(this.#worker);
  }

  /** Sending a ticket that already exists does nothing. */
  async #sendMissingTickets(): Promise<void> {
    const tickets = await this.#records.tickets();
    if (tickets.length > 0) await this.#database.boss.insert(QUEUE, tickets);
  }

  async #sweepTickets(): Promise<void> {
    await this.#sendMissingTickets();
    for (const id of await this.#records.frozen(FROZEN_SECONDS)) await this.#runNow(id);
  }

  /** By the database's clock. A job that is already running is not affected. */
  async #runNow(id: string): Promise<void> {
    await this.#database.limited(() => this.#database.boss.update(QUEUE, undefined, { id, startAfter: 0 }));
  }

  /** Throws if the ticket is to stay in the queue. */
  async #attempt(id: string): Promise<void> {
    if (this.#closing) throw new Error('closing');
    const attempt = await this.#records.start(id);
    if (!attempt) return this.#watchers.wake(id);
    const running = new RunningJob(attempt, {
      records: this.#records,
      derivations: this.#derivations,
      run: attempt.unexplained > MAX_UNEXPLAINED_RUNS ? refuseToRun : this.#options.run,
      timeoutMs: this.#options.limits.jobTimeoutMinutes * 60_000,
      saveEveryMs: this.#options.saveEveryMs ?? 1000,
      abortGraceMs: this.#options.abortGraceMs ?? 20_000,
      release: this.#options.release,
      retain: this.#options.retain,
      retryMs: (this.#options.retryHours ?? 24) * 3_600_000,
      onChange: () => this.#watchers.wake(id),
      onFault: this.#options.onFault,
    });
    this.#running.set(id, running);
    // A stop or cancel request may have come while the record was being written, when there was nothing to abort yet.
    if (this.#closing) running.interrupt();
    this.#watchers.wake(id);
    this.#options.onJob?.('started', running.job);
    try {
      const isOver = await running.finished();
      this.#options.onJob?.(isOver ? 'ended' : 'requeued', running.job);
      if (running.job.waiting?.code !== 'SPOOL_FULL') await this.#hurry();
      if (!isOver) throw new Error('requeued');
    } finally {
      this.#running.delete(id);
      this.#watchers.wake(id);
    }
  }

  /**
   * Room in the spool was released: jobs waiting for it are retried now, so that it does not sit idle until their
   * delays end.
   */
  async #hurry(): Promise<void> {
    if (this.#closing) return;
    try {
      for (const id of await this.#records.waitingForRoom(MAX_HURRIED)) await this.#runNow(id);
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  /** A job running here is ahead of its record, unless the record is final. */
  #newest(job: Job): Job {
    return isFinal(job.state) ? job : (this.#running.get(job.id)?.job ?? job);
  }

  #requireOpen(): void {
    if (this.#closing) throw new StainError('SHUTTING_DOWN', 'The service is stopping.');
  }
}

const refuseToRun: RunNormalization = async () => {
  throw new StainError(
    'INTERNAL',
    `The service stopped ${MAX_UNEXPLAINED_RUNS} times while working on this slide.`,
  );
};
