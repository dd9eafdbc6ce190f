/** One attempt at one job, in this process: limits its time, publishes and saves how far it got, and says how it ended. */
import type { Job } from '../contract/index.ts';
import { StainError, toStainError } from '../errors.ts';
import type {
  JobIdentity,
  NormalizationRequest,
  NormalizationResult,
  Progress,
} from '../normalization/types.ts';
import { type Attempt, type JobRecords, type Outcome, revisionOf } from './job-records.ts';

/** The work itself. It must stop soon after `signal` is aborted, with the signal's reason. */
export type RunNormalization = (
  request: NormalizationRequest,
  identity: JobIdentity,
  options: { readonly signal: AbortSignal; onProgress(progress: Progress): void },
) => Promise<NormalizationResult>;

export interface RunningJobOptions {
  readonly records: JobRecords;
  readonly run: RunNormalization;
  readonly timeoutMs: number;
  readonly saveEveryMs: number;
  /** Work that does not stop within this time after an abort is left behind, so that the queue goes on. */
  readonly abortGraceMs: number;
  /** After every change of `job`. */
  onChange(): void;
  /** A fault that nobody foresaw; the job's own record says no more than INTERNAL. */
  onFault(error: unknown): void;
}

/** Why an attempt is given up without an outcome: it is run again later, or somebody else runs it already. */
class Interruption extends Error {
  override readonly name = 'AbortError';
}

export class RunningJob {
  readonly #attempt: Attempt;
  readonly #options: RunningJobOptions;
  readonly #abort = new AbortController();
  #job: Job;
  #revision = 0;

  constructor(attempt: Attempt, options: RunningJobOptions) {
    this.#attempt = attempt;
    this.#options = options;
    this.#job = attempt.job;
  }

  /** As it is now; the record in the database may be a second behind. */
  get job(): Job {
    return this.#job;
  }

  cancel(): void {
    this.#change({ cancelRequested: true });
    this.#abort.abort(new StainError('CANCELLED', 'The job was cancelled.'));
  }

  interrupt(): void {
    this.#abort.abort(new Interruption('The service stops.'));
  }

  /** Resolves to false when the attempt was interrupted and the job is to be run again. */
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
      if (!outcome) {
        await records.interrupt(id, run);
        return false;
      }
      const job = await records.finish(id, run, outcome, this.#job.progress, this.#revision);
      if (job) this.#job = job;
      return true;
    } finally {
      clearTimeout(timeout);
      clearInterval(save);
    }
  }

  async #outcome(): Promise<Outcome | undefined> {
    const { signal } = this.#abort;
    try {
      return { state: 'COMPLETED', result: await this.#work() };
    } catch (thrown) {
      const reason: unknown = signal.aborted ? signal.reason : thrown;
      if (reason instanceof Interruption) return undefined;
      const error = toStainError(reason);
      if (error.code === 'CANCELLED' && signal.aborted) return { state: 'CANCELED' };
      return { state: 'FAILED', error: this.#describe(error, reason) };
    }
  }

  /** The work, or the reason of the abort once the work has had its time to stop. */
  async #work(): Promise<NormalizationResult> {
    const { signal } = this.#abort;
    const { id, request, createdAt } = this.#job;
    let grace: NodeJS.Timeout | undefined;
    const abandoned = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => {
        grace = setTimeout(() => {
          this.#options.onFault(
            new StainError('INTERNAL', 'The work did not stop when it was told to.', { data: { job: id } }),
          );
          reject(signal.reason);
        }, this.#options.abortGraceMs);
      });
    });
    const onProgress = (progress: Progress) => {
      if (!signal.aborted) this.#change({ progress });
    };
    try {
      return await Promise.race([
        this.#options.run(request, { jobUuid: id, createdAt }, { signal, onProgress }),
        abandoned,
      ]);
    } finally {
      clearTimeout(grace);
    }
  }

  /** Text of an unforeseen error may hold anything, a token too: it goes to the log only. */
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

  /** Also the way in which a cancel that was asked for in another process, and a successor, are noticed. */
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
      // The next second may be better; the outcome is what must not be lost.
      this.#options.onFault(error);
    }
  }
}
