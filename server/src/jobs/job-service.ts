/**
 * Jobs as the rest of the product sees them: asked for, watched, cancelled; run one after the other, across restarts. On
 * a PostgreSQL server several processes do this together: those that answer requests and those that work.
 */
import { randomUUID } from 'node:crypto';
import { LOCAL } from '../auth/principal.ts';
import type { Config } from '../config.ts';
import { isFinal, type Job, type JobEvent, type JobState } from '../contract/index.ts';
import { uidFromUuid } from '../dicom/uid.ts';
import { StainError, toStainError } from '../errors.ts';
import { type Derivation, type Revisions, revisionOf } from '../normalization/derivations.ts';
import type { SeriesReference } from '../normalization/open-series.ts';
import {
  type Fingerprint,
  pinned,
  requireSettled,
  type SeriesContent,
  seriesContent,
} from '../normalization/series-identity.ts';
import type { StoredDerivation } from '../normalization/stored-derivations.ts';
import type { NormalizationRequest, NormalizationResult, SeriesIdentity } from '../normalization/types.ts';
import type { Slide } from '../slide/types.ts';
import { type Database, openDatabase } from './database.ts';
import { databaseFault } from './database-fault.ts';
import { DerivationTable } from './derivation-records.ts';
import { type JobFilter, type JobOrigin, type JobPage, JobRecords, type Ticket } from './job-records.ts';
import { type RoomLimits, roomFor } from './room.ts';
import { type RunNormalization, RunningJob } from './running-job.ts';
import { SECRET_SCHEMA } from './service-key.ts';
import { Watchers } from './watchers.ts';

const QUEUE = 'normalization';

const HEARTBEAT_SECONDS = 30;

/** A job that was running each time the service died, and got no further, is not tried for ever: it may be what kills it. */
const MOST_UNEXPLAINED_RUNS = 5;

/** Our own time limit ends a job first; the queue's is for a process that hangs. */
const EXPIRY_MARGIN_SECONDS = 10 * 60;

/** Pause before a job that was put back is tried again: doubled each time, up to the longest. */
const RETRY_SECONDS = 5;
const LONGEST_RETRY_SECONDS = 300;

/** Jobs that are tried at once when room in the spool was given back. */
const MOST_HURRIED = 2;

/** How often jobs without a ticket are looked for: of a process that died between writing down the one and the other. */
const SWEEP_MS = 60_000;

/** A waiting job is kept a year, the longest pg-boss allows; its own 14 days would drop jobs from a long queue. */
const RETENTION_SECONDS = 365 * 24 * 60 * 60;

export type JobMilestone = 'created' | 'started' | 'put back' | 'ended';

export interface JobServiceOptions {
  readonly database: { readonly directory: string; readonly url?: string | undefined };
  readonly run: RunNormalization;
  /**
   * Content hashes of the template and model that a request names, and whether the series was made by this product.
   * @throws TEMPLATE_NOT_FOUND, MODEL_NOT_FOUND
   */
  fingerprint(
    request: NormalizationRequest,
    signal: AbortSignal,
  ): Promise<Fingerprint & { readonly isResult?: boolean; readonly slide?: Slide }>;
  /** What the work has left behind is needed no more. */
  release(identity: SeriesIdentity): Promise<void>;
  /** The job has failed; what the work has left behind is of use only if the same is asked for again. */
  retain(identity: SeriesIdentity): Promise<void>;
  /** Whether the archive still holds the whole series that a job has made, and nobody has rejected it. */
  isStored(result: NormalizationResult, signal: AbortSignal): Promise<boolean>;
  /** Whether somebody has rejected a series, or a part of one. */
  isRejected(series: SeriesReference, signal: AbortSignal): Promise<boolean>;
  /** The newest revision that the archive shows, for a database that knows of none. */
  findStored(
    content: SeriesContent,
    studyInstanceUid: string,
    slide: Slide | undefined,
    signal: AbortSignal,
  ): Promise<StoredDerivation | undefined>;
  readonly limits: Pick<Config['limits'], 'jobTimeoutMinutes'> & RoomLimits;
  /** Slides in work at the same time, in this process. Default 1; 0 where others work. */
  readonly concurrency?: number;
  /** Silence after which a worker on a server is taken for dead. Default 30, 10 at least. */
  readonly heartbeatSeconds?: number;
  /** How long a job that gets no further waits for passing faults to end. Default 24. */
  readonly retryHours?: number;
  readonly abortGraceMs?: number;
  readonly saveEveryMs?: number;
  /** How often a job that runs in another process is looked at by those who watch it. */
  readonly pollMs?: number;
  /** Hears of what becomes of jobs in this process: `created` where they are asked for, the rest where they run. */
  onJob?(what: JobMilestone, job: Job): void;
  /** Faults that no caller hears of. */
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

  private constructor(
    options: JobServiceOptions,
    database: Database,
    records: JobRecords,
    derivations: DerivationTable,
  ) {
    this.#options = options;
    this.#database = database;
    this.#records = records;
    this.#derivations = derivations;
    this.#watchers = new Watchers({ read: (id) => this.get(id), pollMs: options.pollMs ?? 1000 });
  }

  /** What the jobs of batches may fill. */
  get roomForBatches(): RoomLimits {
    return roomFor(true, this.#options.limits);
  }

  /** For what else is kept beside the jobs. */
  get database(): Database {
    return this.#database;
  }

  /**
   * Opens the database, puts what a stop or a crash left unfinished back into the queue, and begins to work.
   * @throws DATABASE_UNAVAILABLE, CONFIGURATION_INVALID
   */
  static async open(options: JobServiceOptions): Promise<JobService> {
    const heartbeatSeconds = options.heartbeatSeconds ?? HEARTBEAT_SECONDS;
    const database = await openDatabase({ ...options.database, heartbeatSeconds, onError: options.onFault });
    try {
      await database.define(SECRET_SCHEMA);
      const derivations = await DerivationTable.open(database);
      const records = await JobRecords.open(database);
      const service = new JobService(options, database, records, derivations);
      await service.#start();
      return service;
    } catch (error) {
      await database.close();
      throw databaseFault(error);
    }
  }

  /**
   * `existing`: the same work waits, runs or is done, and no second job was made. After a job that failed or was cancelled a
   * new one completes the same series; after one whose series is gone or was rejected it makes the next revision.
   * @param expectedSource SHA-256 of the instances that the slide had when it was looked at before
   * @throws QUEUE_FULL, WORKITEM_EXISTS, SHUTTING_DOWN, ALREADY_NORMALIZED, SERIES_ARRIVING where it has others now, and what
   * `fingerprint`, `isStored` and `findStored` throw
   */
  async create(
    request: NormalizationRequest,
    origin: JobOrigin,
    signal: AbortSignal,
    expectedSource?: string,
  ): Promise<{ job: Job; existing: boolean }> {
    this.#requireOpen();
    const { isResult, slide, ...fingerprint } = await this.#options.fingerprint(request, signal);
    const isBatch = origin.batch !== undefined;
    if (isResult) throw new StainError('ALREADY_NORMALIZED', 'The series is a result of this product.');
    requireSettled(fingerprint, expectedSource);
    const content = seriesContent(request, fingerprint);
    // What it means now is what it will be run with.
    const meant = pinned(request, fingerprint);
    for (;;) {
      const same = await this.#records.findSame(content.content);
      if (same && (!same.result || (await this.#options.isStored(same.result, signal))))
        return { job: this.#newest(same), existing: true };
      const { maxQueuedJobs, jobsPerUser } = roomFor(isBatch, this.#options.limits);
      if (
        origin.requestedBy !== LOCAL.id &&
        (await this.#records.countUnfinished(origin.requestedBy, isBatch)) >= jobsPerUser
      )
        throw new StainError('QUEUE_FULL', `${jobsPerUser} jobs of yours are unfinished.`, {
          data: { jobsPerUser },
        });
      if ((await this.#records.countScheduled(isBatch)) >= maxQueuedJobs)
        throw new StainError('QUEUE_FULL', `${maxQueuedJobs} jobs are waiting already; try again later.`, {
          data: { maxQueuedJobs },
        });
      const identity = await this.#identity(content, request.studyInstanceUid, slide, signal);
      const made = await this.#records.insert(
        randomUUID(),
        content.content,
        identity,
        meant,
        origin,
        new Date().toISOString(),
      );
      const { workitemUid, requestedBy } = origin;
      const taken = made || !workitemUid ? [] : await this.#records.findWorkitems(workitemUid);
      if (taken.some((job) => job.requestedBy === requestedBy))
        throw new StainError('WORKITEM_EXISTS', 'You have a work item with this UID already.');
      // Where another request was faster its job is found now, unless that has ended as well.
      if (!made) continue;
      await this.#enqueue(made.ticket);
      this.#options.onJob?.('created', made.job);
      return { job: this.#newest(made.job), existing: false };
    }
  }

  /** Of the series that a new job makes. */
  #identity(
    content: SeriesContent,
    studyInstanceUid: string,
    slide: Slide | undefined,
    signal: AbortSignal,
  ): Promise<SeriesIdentity> {
    const table = this.#derivations;
    const isGone = async ({ identity, wasStored }: Derivation): Promise<boolean> => {
      const result = await this.#records.resultOf(identity);
      if (result) return !(await this.#options.isStored(result, signal));
      const seriesInstanceUid = uidFromUuid(identity.seriesUuid);
      return wasStored && (await this.#options.isRejected({ studyInstanceUid, seriesInstanceUid }, signal));
    };
    const revisions: Revisions = {
      newest: async () => {
        let newest = await table.newest(content);
        if (!newest) {
          const found = await this.#options.findStored(content, studyInstanceUid, slide, signal);
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

  /** @throws JOB_NOT_FOUND */
  async get(id: string): Promise<Job> {
    const job = await this.#records.find(id);
    if (!job) throw new StainError('JOB_NOT_FOUND', `There is no job ${id}.`);
    return this.#newest(job);
  }

  /** The work items of this UID, of all users. */
  async findWorkitems(uid: string): Promise<Job[]> {
    return (await this.#records.findWorkitems(uid)).map((job) => this.#newest(job));
  }

  /** Cursors are those of the records, which tell how many jobs there are: not to be given to users. */
  async list(filter: JobFilter): Promise<JobPage> {
    const page = await this.#records.list(filter);
    return { ...page, jobs: page.jobs.map((job) => this.#newest(job)) };
  }

  /**
   * A waiting job is CANCELED when this returns; one in work has `cancelRequested` and follows when it has stopped.
   * @throws JOB_NOT_FOUND, JOB_FINISHED
   */
  async cancel(id: string): Promise<Job> {
    const job = await this.#records.requestCancel(id);
    if (!job) {
      const { state } = await this.get(id);
      throw new StainError('JOB_FINISHED', `The job has ended already: ${state}.`, { data: { state } });
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
   * The job as it is now, then after each change, up to its final state. A slow reader misses intermediate states,
   * never the last one. Ends early when `signal` is aborted or the service closes.
   * @param after revision that the reader knows, which is not sent again. @throws JOB_NOT_FOUND
   */
  async *events(id: string, signal: AbortSignal, after?: string): AsyncGenerator<JobEvent, void> {
    const watch = this.#watchers.watch(id);
    try {
      let isOpen = false;
      for (let known = after; !signal.aborted && !this.#closing; ) {
        const job = await watch.look().catch((error: unknown) => {
          // Whoever watches already sees how it goes on when the database is back.
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

  /** Whether the jobs that make a series have ended, and leave nothing to go on with. */
  isOver(seriesUuid: string): Promise<boolean> {
    return this.#records.isOver(seriesUuid);
  }

  /** @throws when the database does not answer, or takes nothing */
  async ping(): Promise<void> {
    this.#requireOpen();
    await this.#records.requireWritable();
  }

  /** Jobs by state, and for how long the oldest one waits that could run. */
  statistics(): Promise<{ byState: Partial<Record<JobState, number>>; oldestWaitingSeconds: number }> {
    return this.#records.statistics();
  }

  /** Takes no more jobs; what is in work is put back, and goes on elsewhere or at the next start. */
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
      // Jobs that were put back come as retries; how often is decided by the record.
      retryLimit: 100_000,
      retryDelay: RETRY_SECONDS,
      retryBackoff: true,
      retryDelayMax: LONGEST_RETRY_SECONDS,
      heartbeatSeconds: embedded ? null : (this.#options.heartbeatSeconds ?? HEARTBEAT_SECONDS),
    });
    // Nobody else works on an embedded database: all tickets are leftovers, and are written again from the records.
    if (embedded) {
      await this.#records.recover();
      await boss.deleteAllJobs(QUEUE);
    }
    await this.#sendMissingTickets();
    this.#sweep = setInterval(
      () => void this.#sendMissingTickets().catch(this.#options.onFault),
      SWEEP_MS,
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

  async #enqueue(ticket: Ticket): Promise<void> {
    await this.#database.limited(() => this.#database.boss.send(QUEUE, {}, { ...ticket }));
    if (this.#worker) this.#database.boss.notifyWorker(this.#worker);
  }

  /** Sending a ticket that exists already does nothing. */
  async #sendMissingTickets(): Promise<void> {
    const tickets = await this.#records.tickets();
    if (tickets.length > 0) await this.#database.boss.insert(QUEUE, tickets);
  }

  /** Throws when the ticket is to stay in the queue. */
  async #attempt(id: string): Promise<void> {
    if (this.#closing) throw new Error('closing');
    const attempt = await this.#records.start(id);
    if (!attempt) return this.#watchers.wake(id);
    const running = new RunningJob(attempt, {
      records: this.#records,
      derivations: this.#derivations,
      run: attempt.unexplained > MOST_UNEXPLAINED_RUNS ? refuseToRun : this.#options.run,
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
    // A stop or a cancel may have come while the record was written, when there was nothing to abort yet.
    if (this.#closing) running.interrupt();
    this.#watchers.wake(id);
    this.#options.onJob?.('started', running.job);
    try {
      const isOver = await running.finished();
      this.#options.onJob?.(isOver ? 'ended' : 'put back', running.job);
      if (running.job.waiting?.code !== 'SPOOL_FULL') await this.#hurry();
      if (!isOver) throw new Error('put back');
    } finally {
      this.#running.delete(id);
      this.#watchers.wake(id);
    }
  }

  /** Room in the spool was given back: those that wait for some are not left to their pauses, in which it would lie idle. */
  async #hurry(): Promise<void> {
    if (this.#closing) return;
    const { boss } = this.#database;
    try {
      // One that is in work by now stays as it is.
      for (const id of await this.#records.waitingForRoom(MOST_HURRIED))
        await this.#database.limited(() => boss.update(QUEUE, undefined, { id, startAfter: new Date() }));
    } catch (error) {
      this.#options.onFault(error);
    }
  }

  /** What runs here is ahead of its record, unless the record has come to its end. */
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
    `The service stopped ${MOST_UNEXPLAINED_RUNS} times while it worked on this slide.`,
  );
};
