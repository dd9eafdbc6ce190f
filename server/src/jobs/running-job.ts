/**
 * One attempt at one job in this process: limits its time, publishes and saves its progress, and records its outcome.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type {
  Job,
  NormalizationRequest,
  NormalizationResult,
  Progress,
} from '../../../core/src/contract/index.ts';
import { isResumable, StainError, toStainError } from '../../../core/src/errors.ts';
import { DEFAULT_TRANSFER } from '../../../core/src/stain/transfer-name.ts';
import type { DerivationRecords } from '../pipeline/derivations.ts';
import type { SeriesIdentity } from '../pipeline/series-identity.ts';
import { type Attempt, type JobRecords, type Outcome, revisionOf } from './job-records.ts';

/** The work itself. It must stop soon after `signal` is aborted, and throw the signal's reason. */
export type RunNormalization = (
  request: NormalizationRequest,
  identity: SeriesIdentity,
  options: {
    /** Id of the job; several jobs may make the same series, one after the other. */
    readonly job: string;
    readonly derivations: DerivationRecords;
    readonly signal: AbortSignal;
    onProgress(progress: Progress): void;
    /** The work has reached a point from which it can resume after a crash. */
    onCheckpoint(): void;
    /** The archive has accepted another instance of the result. */
    onStored(stored: NonNullable<Job['stored']>): Promise<void>;
  },
) => Promise<NormalizationResult>;

export interface RunningJobOptions {
  readonly records: JobRecords;
  readonly derivations: DerivationRecords;
  readonly run: RunNormalization;
  readonly timeoutMs: number;
  readonly saveEveryMs: number;
  /** Work that does not stop within this time after an abort is abandoned, so that the queue continues. */
  readonly abortGraceMs: number;
  /** A job that hits transient faults for longer than this without progress has failed. */
  readonly retryMs: number;
  /** The files of the work are no longer needed. */
  release(identity: SeriesIdentity): Promise<void>;
  /** The job has failed; its files are useful only if the same work is requested again. */
  retain(identity: SeriesIdentity): Promise<void>;
  /** After every change of `job`. */
  onChange(): void;
  /** An unexpected error; the job's own record says only INTERNAL. */
  onFault(error: unknown): void;
}

/** Delay between attempts to record how a job ended while the database does not answer. */
const FINISH_RETRY_MS = 1000;

/** Why an attempt ends without an outcome: it is retried later, or another process has taken over. */
class Interruption extends Error {
  override readonly name = 'AbortError';
}

/** The job waits for another attempt. */
interface Requeued {
  readonly state: 'SCHEDULED';
  readonly waiting: Job['waiting'];
  /** The job waits for other jobs, not for a fault to pass. */
  readonly isInLine: boolean;
}

export class RunningJob {
  #attempt: Attempt;
  readonly #options: RunningJobOptions;
  readonly #abort = new AbortController();
  readonly #stopping = new AbortController();
  readonly #began = performance.now();
  #job: Job;
  #revision = 0;

  constructor(attempt: Attempt, options: RunningJobOptions) {
    this.#attempt = attempt;
    this.#options = options;
    this.#job = attempt.job;
  }

  /** The job as it is now; the record in the database may be a second behind. */
  get job(): Job {
    return this.#job;
  }

  cancel(): void {
    this.#change({ cancelRequested: true });
    this.#abort.abort(new StainError('CANCELLED', 'The job was cancelled.'));
  }

  interrupt(): void {
    this.#stopping.abort();
    this.#abort.abort(new Interruption('The service is stopping.'));
  }

  /** Resolves to false if the job is to be run again: the attempt was interrupted or hit a transient fault. */
  async finished(): Promise<boolean> {
    const { records, timeoutMs, saveEveryMs } = this.#options;
    const { id } = this.#job;
    const { run } = this.#attempt;
    const timeout = setTimeout(
      () =>
        this.#abort.abort(
          new StainError(
            'TIMED_OUT',
            `The job did not end within ${Math.round(timeoutMs / 6000) / 10} minutes.`,
          ),
        ),
      timeoutMs,
    );
    const save = setInterval(() => void this.#save(), saveEveryMs);
    try {
      const outcome = await this.#outcome();
      if (outcome.state === 'SCHEDULED') {
        await records.requeue(id, run, outcome.waiting, outcome.isInLine);
        this.#job = { ...this.#job, state: 'SCHEDULED', waiting: outcome.waiting };
        return false;
      }
      const job = await this.#surely(() =>
        records.finish(id, run, outcome, this.#job.progress, this.#revision),
      );
      // Overtaken: another attempt works in the spool now.
      if (!job) return true;
      this.#job = job;
      const isRetained = outcome.state === 'FAILED' && isResumable(outcome.error.code);
      const tidy = isRetained ? this.#options.retain : this.#options.release;
      await tidy(this.#attempt.identity).catch(this.#options.onFault);
      return true;
    } finally {
      clearTimeout(timeout);
      clearInterval(save);
    }
  }

  /**
   * Retries the write while the database is away: the outcome of long work must not be lost because it happens to restart.
   * @throws whatever the database refuses, which it would refuse again; the job is then run anew, a few times
   */
  async #surely<T>(write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (this.#stopping.signal.aborted) throw error;
        this.#options.onFault(error);
        if (toStainError(error).code !== 'DATABASE_UNAVAILABLE') throw error;
        await pause(FINISH_RETRY_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
      }
    }
  }

  async #outcome(): Promise<Outcome | Requeued> {
    const { signal } = this.#abort;
    try {
      return { state: 'COMPLETED', result: await this.#work() };
    } catch (thrown) {
      const reason: unknown = signal.aborted ? signal.reason : thrown;
      if (reason instanceof Interruption) return { state: 'SCHEDULED', waiting: null, isInLine: false };
      const error = toStainError(reason);
      if (error.code === 'CANCELLED' && signal.aborted) return this.#cancelled(thrown);
      const { data, ...waiting } = this.#describe(error, reason);
      const isInLine = error.data['inLine'] === true;
      if (isInLine || this.#mayPass(error)) return { state: 'SCHEDULED', waiting, isInLine };
      return { state: 'FAILED', error: { ...waiting, data } };
    }
  }

  /** Runs the work. After an abort, waits until it has stopped or its grace period is over, and throws the reason. */
  async #work(): Promise<NormalizationResult> {
    const { signal } = this.#abort;
    const { id, request } = this.#job;
    let grace: NodeJS.Timeout | undefined;
    const abandoned = Promise.withResolvers<never>();
    const onAbort = (): void => {
      grace = setTimeout(() => {
        this.#options.onFault(
          new StainError('INTERNAL', 'The job did not stop when asked to.', { data: { job: id } }),
        );
        abandoned.reject(signal.reason);
      }, this.#options.abortGraceMs);
    };
    signal.addEventListener('abort', onAbort);
    // A job of an older version names no transfer; it is refused because its content differs.
    const { transfer = DEFAULT_TRANSFER } = request;
    const onProgress = (progress: Progress) => {
      if (!signal.aborted) this.#change({ progress });
    };
    const onCheckpoint = () => void this.#advance();
    const onStored = async (stored: NonNullable<Job['stored']>) => {
      this.#change({ stored });
      await this.#surely(() => this.#options.records.saveStored(id, this.#attempt.run, stored));
    };
    try {
      return await Promise.race([
        this.#options.run({ ...request, transfer }, this.#attempt.identity, {
          job: id,
          derivations: this.#options.derivations,
          signal,
          onProgress,
          onCheckpoint,
          onStored,
        }),
        abandoned.promise,
      ]);
    } finally {
      // Whoever asks it to stop from now on asks what has stopped.
      signal.removeEventListener('abort', onAbort);
      clearTimeout(grace);
    }
  }

  /** The text of an unexpected error may contain anything, even a token, so it goes only to the log. */
  #describe(error: StainError, thrown: unknown): NonNullable<Job['error']> {
    if (error.code === 'INTERNAL') this.#options.onFault(thrown);
    const message =
      thrown instanceof StainError
        ? error.message
        : `${error.code === 'INTERNAL' ? 'An unexpected error' : error.message} ended the job.`;
    return { code: error.code, message, remedy: error.remedy, data: error.data };
  }

  #change(change: Partial<Job>): void {
    this.#revision += 1;
    this.#job = { ...this.#job, ...change, revision: revisionOf(this.#attempt.run, this.#revision) };
    this.#options.onChange();
  }

  /** Instances that the archive has already accepted stay there; the job says so. */
  #cancelled(thrown: unknown): Outcome {
    const isStoredInPart = thrown instanceof StainError && thrown.data['stored'] !== undefined;
    return isStoredInPart
      ? { state: 'CANCELED', error: this.#describe(thrown, thrown) }
      : { state: 'CANCELED' };
  }

  /** Whether the same work may succeed later, and there is time left to wait. */
  #mayPass(error: StainError): boolean {
    const { waitedMs } = this.#attempt;
    const waited = waitedMs === undefined ? 0 : waitedMs + performance.now() - this.#began;
    return error.isTransient && waited < this.#options.retryMs;
  }

  async #advance(): Promise<void> {
    this.#attempt = { ...this.#attempt, waitedMs: undefined };
    await this.#options.records.advance(this.#job.id, this.#attempt.run).catch(this.#options.onFault);
  }

  /** This is also how a cancel request made in another process, or a newer attempt, is noticed. */
  async #save(): Promise<void> {
    try {
      const found = await this.#options.records.saveProgress(
        this.#job.id,
        this.#attempt.run,
        this.#job.progress,
        this.#revision,
      );
      if (!found) this.#abort.abort(new Interruption('Another attempt has taken over.'));
      else if (found.cancelRequested && !this.#abort.signal.aborted) this.cancel();
    } catch (error) {
      // The next save may succeed; only the outcome must not be lost.
      this.#options.onFault(error);
    }
  }
}
