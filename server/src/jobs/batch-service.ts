/**
 * Batches: makes a job of each series, one after the other, as the queue has room. What a crash leaves without a job gets
 * one later; two processes that do this at once make the same jobs.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Batch, BatchReport } from '../contract/index.ts';
import { StainError, toStainError } from '../errors.ts';
import type { SeriesReference } from '../normalization/open-series.ts';
import { BatchRecords, type BatchRequest, type OpenLine } from './batch-records.ts';
import type { JobService } from './job-service.ts';
import { isPassingFault } from './passing-fault.ts';

/** Pause before a full queue, or an archive that is away, is tried again. */
const RETRY_MS = 5000;
/** How often batches of other processes are looked for. */
const POLL_MS = 30_000;
const MOST_LISTED = 100;

export interface BatchServiceOptions {
  readonly jobs: JobService;
  /** Whether a series was made by this product: it is left out. */
  isResult(series: SeriesReference, signal: AbortSignal): Promise<boolean>;
  onFault(error: unknown): void;
}

export class BatchService {
  readonly #options: BatchServiceOptions;
  readonly #records: BatchRecords;
  readonly #end = new AbortController();
  #wake = (): void => {};
  readonly #done: Promise<void>;

  private constructor(options: BatchServiceOptions, records: BatchRecords) {
    this.#options = options;
    this.#records = records;
    this.#done = this.#submitAll();
  }

  static async open(options: BatchServiceOptions): Promise<BatchService> {
    return new BatchService(options, await BatchRecords.open(options.jobs.database));
  }

  async create(
    requestedBy: string,
    request: BatchRequest,
    series: readonly SeriesReference[],
  ): Promise<Batch> {
    const id = randomUUID();
    await this.#records.insert(id, requestedBy, request, new Date().toISOString(), series);
    this.#wake();
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

  /** Ends the jobs that were made for it; what is done stays. @throws BATCH_NOT_FOUND */
  async cancel(id: string): Promise<Batch> {
    await this.get(id);
    const jobs = await this.#records.cancel(id, {
      state: 'REFUSED',
      code: 'CANCELLED',
      message: 'The batch was cancelled.',
    });
    for (const job of jobs)
      await this.#options.jobs.cancel(job).catch((error: unknown) => {
        if (toStainError(error).code !== 'JOB_FINISHED') throw error;
      });
    return this.get(id);
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#done;
  }

  async #submitAll(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      try {
        const line = await this.#records.next();
        if (!line) await this.#untilWoken();
        else if (!(await this.#submit(line))) await this.#rest();
      } catch (error) {
        if (signal.aborted) return;
        this.#options.onFault(error);
        await this.#rest();
      }
    }
  }

  /** Resolves to false when the same series is to be tried again. */
  async #submit(line: OpenLine): Promise<boolean> {
    const { jobs, isResult } = this.#options;
    const { studyInstanceUid, seriesInstanceUid, requestedBy, request, batch } = line;
    const { signal } = this.#end;
    try {
      if (await isResult(line, signal)) {
        const message = 'The series is a result of this product.';
        await this.#records.refuse(line, { state: 'SKIPPED', code: 'ALREADY_NORMALIZED', message });
        return true;
      }
      const origin = { requestedBy, priority: 'batch', batch } as const;
      const { job } = await jobs.create({ ...request, studyInstanceUid, seriesInstanceUid }, origin, signal);
      await this.#records.setJob(line, job.id);
      return true;
    } catch (thrown) {
      const error = toStainError(thrown);
      const { code, message } = error;
      if (signal.aborted || code === 'QUEUE_FULL' || code === 'SHUTTING_DOWN' || isPassingFault(error))
        return false;
      if (code === 'INTERNAL') this.#options.onFault(thrown);
      const told = thrown instanceof StainError ? message : 'An unexpected error.';
      await this.#records.refuse(line, { state: 'REFUSED', code, message: told });
      return true;
    }
  }

  async #untilWoken(): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    await Promise.race([woken.promise, this.#rest(POLL_MS)]);
  }

  async #rest(ms = RETRY_MS): Promise<void> {
    await pause(ms, undefined, { signal: this.#end.signal, ref: false }).catch(() => {});
  }
}
