/**
 * Batches: makes a job of each series, or of each slide of one, some at a time, as there is room. Users take turns, and a series that cannot be
 * looked at now is set aside while the others go on. What a crash leaves without a job gets one later; processes that do
 * this at once share the series between them.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Batch, BatchReport } from '../contract/index.ts';
import { type ErrorCode, StainError, toStainError } from '../errors.ts';
import { sourceOfRefusal } from '../normalization/series-identity.ts';
import { slidesToAskFor } from '../slide/several-slides.ts';
import { DEFAULT_TRANSFER } from '../stain/transfer-name.ts';
import { BatchRecords, type BatchRequest, type Fault, type NewLine, type OpenLine } from './batch-records.ts';
import type { JobService } from './job-service.ts';
import { isPassingFault } from './passing-fault.ts';

/** Series that are looked at at the same time, of all users and of one. */
const SUBMISSIONS = 4;
const SUBMISSIONS_OF_ONE_USER = 2;
/** Of these, series that were set aside before: what hangs again and again must not keep new ones waiting. */
const MOST_TRIED_BEFORE = 2;
const ANY_ATTEMPT = 2 ** 31 - 1;
/** Longest time for the first try of a series: doubled with each, so that one that is only slow gets there in the end. */
const TRY_SECONDS = 60;
const LONGEST_TRY_SECONDS = 960;
/** What a process may take beyond that to write down how a try ended. */
const LEASE_MARGIN_SECONDS = 30;
/** Pause before a series that was set aside is tried again: doubled each time, up to the longest. */
const RETRY_SECONDS = 5;
const LONGEST_RETRY_SECONDS = 300;
/** How often room, series that are due and batches of other processes are looked for. */
const POLL_MS = 5000;
/** No slide's SHA-256. */
const NOTHING_SEEN = '';
const MOST_LISTED = 100;

/** A series of a batch, by its place there: what it is belongs into no log. */
export interface BatchLineFacts {
  readonly batch: string;
  readonly line: number;
  readonly code: string;
  /** Tries that met a passing fault. */
  readonly attempts: number;
}

export interface BatchServiceOptions {
  readonly jobs: JobService;
  /** How long a series that cannot be looked at is tried again. Default 24. */
  readonly retryHours?: number;
  /** How long a slide must have the same instances before it is normalised. Default 0: it is taken as it is. */
  readonly stableSeconds?: number;
  /** Unfinished batches of one user. Default 20. */
  readonly batchesPerUser?: number;
  /** For tests: longest time for the first try of a series, pause after it, and how often work is looked for. */
  readonly trySeconds?: number;
  readonly retrySeconds?: number;
  readonly pollMs?: number;
  /** Hears of series that were set aside or get no job because of a fault. */
  onLine?(what: 'set aside' | 'refused', facts: BatchLineFacts): void;
  onFault(error: unknown): void;
}

export class BatchService {
  readonly #options: BatchServiceOptions;
  readonly #records: BatchRecords;
  readonly #end = new AbortController();
  /** The series that are looked at now. */
  readonly #inWork = new Map<Promise<void>, OpenLine>();
  #woken = Promise.withResolvers<void>();
  readonly #done: Promise<void>;

  private constructor(options: BatchServiceOptions, records: BatchRecords) {
    this.#options = options;
    this.#records = records;
    this.#done = this.#submitAll();
  }

  /** @throws DATABASE_UNAVAILABLE */
  static async open(options: BatchServiceOptions): Promise<BatchService> {
    return new BatchService(options, await BatchRecords.open(options.jobs.database));
  }

  /** @throws QUEUE_FULL where the user has too many batches that are not through */
  async create(requestedBy: string, request: BatchRequest, lines: readonly NewLine[]): Promise<Batch> {
    const { batchesPerUser = 20 } = this.#options;
    if ((await this.#records.countOpen(requestedBy)) >= batchesPerUser)
      throw new StainError(
        'QUEUE_FULL',
        `${batchesPerUser} batches of yours still have series without a job.`,
        {
          data: { batchesPerUser },
        },
      );
    const id = randomUUID();
    await this.#records.insert(id, requestedBy, request, new Date().toISOString(), lines);
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
    return this.#records.list(requestedBy, MOST_LISTED);
  }

  /** Series without a job, of all batches. */
  statistics(): Promise<{ waiting: number; setAside: number }> {
    return this.#records.countLines();
  }

  /** Ends the jobs that were made for it; what is done stays. @throws BATCH_NOT_FOUND */
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

  async close(): Promise<void> {
    this.#end.abort();
    this.#woken.resolve();
    await this.#done;
  }

  async #submitAll(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      // Before the look for work: what comes in the meantime wakes too.
      this.#woken = Promise.withResolvers();
      const line = await this.#claim();
      if (!line) await this.#rest();
      else {
        const work = this.#submit(line)
          // Not even that could be written down: its lease ends, and it is tried again.
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

  /** Undefined where nothing is to be done now. */
  async #claim(): Promise<OpenLine | undefined> {
    const lines = [...this.#inWork.values()];
    if (lines.length >= SUBMISSIONS) return undefined;
    const busy = [...Map.groupBy(lines, ({ requestedBy }) => requestedBy)]
      .filter(([, some]) => some.length >= SUBMISSIONS_OF_ONE_USER)
      .map(([user]) => user);
    // What is looked at now is no job yet, and takes room all the same.
    const left = (limit: number): number => Math.max(1, limit - lines.length);
    const { maxQueuedJobs, jobsPerUser } = this.#options.jobs.roomForBatches;
    const room = { maxQueuedJobs: left(maxQueuedJobs), jobsPerUser: left(jobsPerUser) };
    try {
      const tried = lines.filter(({ attempts }) => attempts > 0).length;
      return await this.#records.claim(room, busy, tried < MOST_TRIED_BEFORE ? ANY_ATTEMPT : 0, {
        seconds: this.#trySeconds + LEASE_MARGIN_SECONDS,
        mostSeconds: LONGEST_TRY_SECONDS + LEASE_MARGIN_SECONDS,
      });
    } catch (error) {
      this.#options.onFault(error);
      return undefined;
    }
  }

  /** @throws where the database does not take how it ended */
  async #submit(line: OpenLine): Promise<void> {
    const { jobs } = this.#options;
    const { studyInstanceUid, seriesInstanceUid, slide, requestedBy, request, batch, attempts } = line;
    const seconds = Math.min(this.#trySeconds * 2 ** attempts, LONGEST_TRY_SECONDS);
    const late = AbortSignal.timeout(seconds * 1000);
    try {
      const origin = { requestedBy, priority: 'batch', batch } as const;
      // Batches of older versions name no transfer.
      const { transfer = DEFAULT_TRANSFER } = request;
      const wanted = { ...request, transfer, studyInstanceUid, seriesInstanceUid, slide };
      const signal = AbortSignal.any([this.#end.signal, late]);
      // Nobody looks at what a batch takes: a slide that is still arriving would be normalised by halves.
      const expected = this.#stableSeconds > 0 ? (line.seen ?? NOTHING_SEEN) : undefined;
      const { job, existing } = await jobs.create(wanted, origin, signal, expected);
      // Cancelled while its job was made: so is the job, unless somebody else has asked for it.
      if (!(await this.#records.setJob(line, job.id)) && !existing) await this.#cancelJob(job.id);
    } catch (thrown) {
      const error = toStainError(thrown);
      const several = sourceOfRefusal(thrown);
      const slides = slide === undefined ? slidesToAskFor(thrown) : [];
      if (this.#end.signal.aborted || error.code === 'SHUTTING_DOWN') await this.#records.putBack(line, 0);
      else if (error.code === 'QUEUE_FULL') await this.#records.putBack(line, RETRY_SECONDS);
      else if (error.code === 'DATABASE_UNAVAILABLE') throw error;
      else if (error.code === 'SERIES_ARRIVING')
        await this.#lookAgain(line, String(error.data['sourceSha256']));
      // Slides that are still arriving are told apart when all of them are there.
      else if (several !== undefined && this.#stableSeconds > 0 && line.seen !== several)
        await this.#lookAgain(line, several);
      else if (slides.length > 0) await this.#records.split(line, slides);
      else if (error.code === 'ALREADY_NORMALIZED') await this.#records.refuse(line, skipped(error.message));
      else if (late.aborted)
        await this.#meetFault(line, {
          code: 'ARCHIVE_TIMEOUT' satisfies ErrorCode,
          message: `The archive did not show the series within ${seconds} s.`,
        });
      else if (isPassingFault(error)) await this.#meetFault(line, error);
      else await this.#refuse(line, this.#describe(error, thrown));
    }
  }

  /** The first look tells nothing yet; a later one that finds more instances does. */
  async #lookAgain(line: OpenLine, found: string): Promise<void> {
    const { retryHours = 24 } = this.#options;
    const { seen, waitingSince = new Date() } = line;
    const arriving = {
      code: 'SERIES_ARRIVING' satisfies ErrorCode,
      message: 'Instances of the slide have come since it was looked at.',
    };
    if (Date.now() - waitingSince.getTime() >= retryHours * 3_600_000) return this.#refuse(line, arriving);
    const fault = seen === undefined ? undefined : arriving;
    await this.#records.lookAgain(line, found, this.#stableSeconds, fault);
  }

  /** Sets the line aside, unless it has met passing faults for too long. */
  async #meetFault(line: OpenLine, { code, message }: Fault): Promise<void> {
    const { retryHours = 24, retrySeconds = RETRY_SECONDS, onLine } = this.#options;
    const { batch, position, attempts, waitingSince = new Date() } = line;
    if (Date.now() - waitingSince.getTime() >= retryHours * 3_600_000)
      return this.#refuse(line, { code, message });
    const seconds = Math.min(retrySeconds * 2 ** attempts, LONGEST_RETRY_SECONDS);
    await this.#records.setAside(line, { code, message }, seconds);
    onLine?.('set aside', { batch, line: position, code, attempts: attempts + 1 });
  }

  async #refuse(line: OpenLine, { code, message }: Fault): Promise<void> {
    await this.#records.refuse(line, { state: 'REFUSED', code, message });
    const { batch, position, attempts } = line;
    this.#options.onLine?.('refused', { batch, line: position, code, attempts });
  }

  /** Text of an unforeseen error may hold anything: it goes to the log only. */
  #describe({ code, message }: StainError, thrown: unknown): Fault {
    if (code === 'INTERNAL') this.#options.onFault(thrown);
    return { code, message: thrown instanceof StainError ? message : 'An unexpected error.' };
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

/** Of a result of this product. */
export function skipped(message: string): NonNullable<NewLine['refusal']> {
  return { state: 'SKIPPED', code: 'ALREADY_NORMALIZED' satisfies ErrorCode, message };
}
