/** One attempt at one job, in this process: limits its time, publishes and saves how far it got, and says how it ended. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Job } from '../contract/index.ts';
import { StainError, toStainError } from '../errors.ts';
import type { DerivationRecords } from '../normalization/derivations.ts';
import type {
  NormalizationRequest,
  NormalizationResult,
  Progress,
  SeriesIdentity,
} from '../normalization/types.ts';
import { DEFAULT_TRANSFER } from '../stain/transfer-name.ts';
import { type Attempt, type JobRecords, type Outcome, revisionOf } from './job-records.ts';
import { isPassingFault } from './passing-fault.ts';

/** The work itself. It must stop soon after `signal` is aborted, with the signal's reason. */
export type RunNormalization = (
  request: NormalizationRequest,
  identity: SeriesIdentity,
  options: {
    /** Id of the job; several may make the same series, one after the other. */
    readonly job: string;
    readonly derivations: DerivationRecords;
    readonly signal: AbortSignal;
    onProgress(progress: Progress): void;
    /** The work has reached a point from which it can go on after a crash. */
    onCheckpoint(): void;
    /** The archive has taken another instance of the result. */
    onStored(stored: NonNullable<Job['stored']>): Promise<void>;
  },
) => Promise<NormalizationResult>;

export interface RunningJobOptions {
  readonly records: JobRecords;
  readonly derivations: DerivationRecords;
  readonly run: RunNormalization;
  readonly timeoutMs: number;
  readonly saveEveryMs: number;
  /** Work that does not stop within this time after an abort is left behind, so that the queue goes on. */
  readonly abortGraceMs: number;
  /** A job that meets passing faults for longer than this, and gets no further, has failed. */
  readonly retryMs: number;
  /** What the work has left behind is needed no more. */
  release(identity: SeriesIdentity): Promise<void>;
  /** The job has failed; what the work has left behind is of use only if the same is asked for again. */
  retain(identity: SeriesIdentity): Promise<void>;
  /** After every change of `job`. */
  onChange(): void;
  /** A fault that nobody foresaw; the job's own record says no more than INTERNAL. */
  onFault(error: unknown): void;
}

/** Pause between two tries to write down how a job ended, while the database does not answer. */
const FINISH_RETRY_MS = 1000;

/** Why an attempt is given up without an outcome: it is run again later, or somebody else runs it already. */
class Interruption extends Error {
  override readonly name = 'AbortError';
}

/** The job waits for another attempt. */
interface PutBack {
  readonly state: 'SCHEDULED';
  readonly waiting: Job['waiting'];
  /** It waits for other jobs: not for a fault to pass. */
  readonly isInLine: boolean;
}

/** The fault was the archive's or the time's: asked for again, the same work goes on from where it was. */
function couldGoOn(code: string): boolean {
  return /^(ARCHIVE_|STORE_)/.test(code) || code === 'PAYLOAD_TOO_LARGE' || code === 'TIMED_OUT';
}

export class RunningJob {
  #attempt: Attempt;
  readonly #options: RunningJobOptions;
  readonly #abort = new AbortController();
  readonly #stopping = new AbortController();
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
    this.#stopping.abort();
    this.#abort.abort(new Interruption('The service stops.'));
  }

  /** Resolves to false when the job is to be run again: the attempt was interrupted, or met a passing fault. */
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
        await records.putBack(id, run, outcome.waiting, outcome.isInLine);
        this.#job = { ...this.#job, state: 'SCHEDULED', waiting: outcome.waiting };
        return false;
      }
      const job = await this.#surely(() =>
        records.finish(id, run, outcome, this.#job.progress, this.#revision),
      );
      if (job) this.#job = job;
      const isRetained = outcome.state === 'FAILED' && couldGoOn(outcome.error.code);
      const tidy = isRetained ? this.#options.retain : this.#options.release;
      await tidy(this.#attempt.identity).catch(this.#options.onFault);
      return true;
    } finally {
      clearTimeout(timeout);
      clearInterval(save);
    }
  }

  /** What took long must not be lost because the database restarts just then. */
  async #surely<T>(write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write();
      } catch (error) {
        if (this.#stopping.signal.aborted) throw error;
        this.#options.onFault(error);
        await pause(FINISH_RETRY_MS, undefined, { signal: this.#stopping.signal }).catch(() => {});
      }
    }
  }

  async #outcome(): Promise<Outcome | PutBack> {
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

  /** The work, or the reason of the abort once the work has had its time to stop. */
  async #work(): Promise<NormalizationResult> {
    const { signal } = this.#abort;
    const { id, request } = this.#job;
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
    // A job of an older version names none, and is refused by its content.
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

  /** What the archive has taken of the series before stays there: that is told. */
  #cancelled(thrown: unknown): Outcome {
    const isStoredInPart = thrown instanceof StainError && thrown.data['stored'] !== undefined;
    return isStoredInPart
      ? { state: 'CANCELED', error: this.#describe(thrown, thrown) }
      : { state: 'CANCELED' };
  }

  /** Whether the same work may go well later, and there is time left to wait for that. */
  #mayPass(error: StainError): boolean {
    const { waitingSince = new Date() } = this.#attempt;
    return isPassingFault(error) && Date.now() - waitingSince.getTime() < this.#options.retryMs;
  }

  async #advance(): Promise<void> {
    this.#attempt = { ...this.#attempt, waitingSince: undefined };
    await this.#options.records.advance(this.#job.id, this.#attempt.run).catch(this.#options.onFault);
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
