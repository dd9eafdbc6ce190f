/** Jobs as the rest of the product sees them: asked for, watched, cancelled; run one after the other, across restarts. */
import { randomUUID } from 'node:crypto';
import { isFinal, type Job, type JobEvent, type JobListQuery } from '../contract/index.ts';
import { StainError } from '../errors.ts';
import type { NormalizationRequest } from '../normalization/types.ts';
import { type Database, openDatabase } from './database.ts';
import { type Fingerprint, jobKey } from './job-key.ts';
import { JobRecords } from './job-records.ts';
import { type RunNormalization, RunningJob } from './running-job.ts';
import { Watchers } from './watchers.ts';

const QUEUE = 'normalization';

/** A job that was running each time the service died is not tried for ever: it may be what kills it. */
const MOST_UNEXPLAINED_RUNS = 3;

/** Our own time limit ends a job first; the queue's is for a process that hangs. */
const EXPIRY_MARGIN_SECONDS = 10 * 60;

/** Only with a server, where another process can go on: silence of this length means that the worker is gone. */
const HEARTBEAT_SECONDS = 60;

/** A waiting job is kept a year, the longest pg-boss allows; its own 14 days would drop jobs from a long queue. */
const RETENTION_SECONDS = 365 * 24 * 60 * 60;

export interface JobServiceOptions {
  readonly database: { readonly directory: string; readonly url?: string | undefined };
  readonly run: RunNormalization;
  /** Content hashes of the template and model that a request names. @throws TEMPLATE_NOT_FOUND, MODEL_INVALID */
  fingerprint(request: NormalizationRequest): Promise<Fingerprint>;
  readonly limits: { readonly jobTimeoutMinutes: number; readonly maxQueuedJobs: number };
  /** Slides in work at the same time, in this process. */
  readonly concurrency?: number;
  readonly abortGraceMs?: number;
  readonly saveEveryMs?: number;
  /** How often a job that runs in another process is looked at by those who watch it. */
  readonly pollMs?: number;
  /** Faults that no caller hears of. */
  onFault(error: unknown): void;
}

export class JobService {
  readonly #options: JobServiceOptions;
  readonly #database: Database;
  readonly #records: JobRecords;
  readonly #watchers = new Watchers();
  readonly #running = new Map<string, RunningJob>();
  readonly #attempts = new Set<Promise<unknown>>();
  #worker = '';
  #closing: Promise<void> | undefined;

  private constructor(options: JobServiceOptions, database: Database, records: JobRecords) {
    this.#options = options;
    this.#database = database;
    this.#records = records;
  }

  /** Opens the database, puts what a stop or a crash left unfinished back into the queue, and begins to work. */
  static async open(options: JobServiceOptions): Promise<JobService> {
    const database = await openDatabase({ ...options.database, onError: options.onFault });
    try {
      const service = new JobService(options, database, await JobRecords.open(database));
      await service.#start();
      return service;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** `existing`: the same work is waiting or running already, and no second job was made. */
  async create(request: NormalizationRequest): Promise<{ job: Job; existing: boolean }> {
    this.#requireOpen();
    const key = jobKey(request, await this.#options.fingerprint(request));
    const { maxQueuedJobs } = this.#options.limits;
    const isFull = (await this.#records.countScheduled()) >= maxQueuedJobs;
    const created = await this.#records.insert(randomUUID(), key, request, new Date().toISOString(), {
      onlyExisting: isFull,
    });
    if (!created)
      throw new StainError('QUEUE_FULL', `${maxQueuedJobs} jobs are waiting already; try again later.`, {
        data: { maxQueuedJobs },
      });
    if (!created.existing) await this.#enqueue(created.job.id);
    return { ...created, job: this.#newest(created.job) };
  }

  /** @throws JOB_NOT_FOUND */
  async get(id: string): Promise<Job> {
    const job = await this.#records.find(id);
    if (!job) throw new StainError('JOB_NOT_FOUND', `There is no job ${id}.`);
    return this.#newest(job);
  }

  async list(query: JobListQuery): Promise<{ jobs: Job[]; next: string | null }> {
    const { jobs, next } = await this.#records.list(query);
    return { jobs: jobs.map((job) => this.#newest(job)), next };
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
    if (isFinal(job.state)) await this.#database.boss.deleteJob(QUEUE, id);
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
      for (let known = after; !signal.aborted && !this.#closing; ) {
        const job = await this.get(id);
        if (job.revision !== known) yield { id: job.revision, job };
        if (isFinal(job.state)) return;
        known = job.revision;
        await watch.next(signal, this.#options.pollMs ?? 2000);
      }
    } finally {
      watch.close();
    }
  }

  /** @throws when the database does not answer */
  async ping(): Promise<void> {
    this.#requireOpen();
    await this.#database.query('SELECT 1');
  }

  /** Takes no more jobs; what is in work is aborted and begins anew at the next start. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#database.boss.offWork(QUEUE, { wait: false });
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
      // Interrupted jobs come back as retries; how often is decided by the record, see MOST_UNEXPLAINED_RUNS.
      retryLimit: 1000,
      heartbeatSeconds: embedded ? null : HEARTBEAT_SECONDS,
    });
    // Nobody else works on an embedded database: all tickets are leftovers, and are written again from the records.
    if (embedded) {
      await this.#records.recover();
      await boss.deleteAllJobs(QUEUE);
    }
    for (const id of await this.#records.unfinished()) await boss.send(QUEUE, {}, { id });
    const options = { localConcurrency: this.#options.concurrency ?? 1, pollingIntervalSeconds: 2 };
    this.#worker = await boss.work(QUEUE, options, async ([ticket]) => {
      const attempt = this.#attempt(ticket!.id);
      this.#attempts.add(attempt);
      await attempt.finally(() => this.#attempts.delete(attempt));
    });
  }

  /** Sending a ticket that exists already does nothing. */
  async #enqueue(id: string): Promise<void> {
    await this.#database.boss.send(QUEUE, {}, { id });
    this.#database.boss.notifyWorker(this.#worker);
  }

  /** Throws when the ticket is to stay in the queue. */
  async #attempt(id: string): Promise<void> {
    if (this.#closing) throw new Error('closing');
    const attempt = await this.#records.start(id);
    if (!attempt) return this.#watchers.wake(id);
    const running = new RunningJob(attempt, {
      records: this.#records,
      run: attempt.unexplained > MOST_UNEXPLAINED_RUNS ? refuseToRun : this.#options.run,
      timeoutMs: this.#options.limits.jobTimeoutMinutes * 60_000,
      saveEveryMs: this.#options.saveEveryMs ?? 1000,
      abortGraceMs: this.#options.abortGraceMs ?? 20_000,
      onChange: () => this.#watchers.wake(id),
      onFault: this.#options.onFault,
    });
    this.#running.set(id, running);
    // A stop or a cancel may have come while the record was written, when there was nothing to abort yet.
    if (this.#closing) running.interrupt();
    this.#watchers.wake(id);
    try {
      if (!(await running.finished())) throw new Error('interrupted');
    } finally {
      this.#running.delete(id);
      this.#watchers.wake(id);
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
