/** Turns work done in stages into one fraction that never decreases, a rate and the time left. */
import { type Progress, STAGES, type Stage } from '../../../core/src/contract/index.ts';

/** Approximate share of the total time that each stage takes, with the network on a CPU. */
const WEIGHT: Record<Stage, number> = {
  open: 0.01,
  fetch: 0.04,
  fit: 0.12,
  normalize: 0.77,
  store: 0.05,
  verify: 0.01,
};

/**
 * Stages whose pace tells when the job ends. Before them nothing does: the fit ends as soon as it is good enough, and
 * says nothing of the pace of what follows.
 */
const STEADY: readonly Stage[] = ['normalize', 'store', 'verify'];

/** An estimate based on a smaller part of a stage, or on less time, would be a guess. */
const MIN_BASIS = 0.05;
const MIN_BASIS_SECONDS = 3;

/** A rate measured over less than this depends more on the moment than on the work. */
const MIN_RATE_SECONDS = 1;

export class ProgressTracker {
  readonly #onProgress: (progress: Progress) => void;
  readonly #now: () => number;
  #stage: Stage = 'open';
  #stageStart: number;
  /** Where the stage was when it was first heard of: a job that is resumed does not begin at 0. */
  #firstDone = 0;
  #firstHeard: number;

  constructor(onProgress: (progress: Progress) => void, now: () => number = () => performance.now()) {
    this.#onProgress = onProgress;
    this.#now = now;
    this.#stageStart = now();
    this.#firstHeard = this.#stageStart;
  }

  report(stage: Stage, done: number, total: number, unit: Progress['unit']): void {
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#stageStart = this.#now();
      this.#firstDone = done;
      this.#firstHeard = this.#stageStart;
    }
    const before = STAGES.slice(0, STAGES.indexOf(stage)).reduce((sum, earlier) => sum + WEIGHT[earlier], 0);
    const ofStage = total > 0 ? Math.min(1, done / total) : 1;
    const fraction = Math.min(1, before + WEIGHT[stage] * ofStage);
    const seconds = (this.#now() - this.#stageStart) / 1000;
    const rate =
      unit === 'pixels' && seconds >= MIN_RATE_SECONDS ? { megapixelsPerSecond: done / 1e6 / seconds } : {};
    this.#onProgress({
      stage,
      done,
      total,
      unit,
      fraction,
      ...rate,
      ...this.#secondsLeft(stage, done, total),
    });
  }

  /** Extrapolates from the pace of this stage, with the later stages in proportion to their weights. */
  #secondsLeft(stage: Stage, done: number, total: number): { secondsLeft?: number } {
    const seconds = (this.#now() - this.#firstHeard) / 1000;
    const made = (done - this.#firstDone) / total;
    if (!STEADY.includes(stage) || !(made >= MIN_BASIS) || seconds < MIN_BASIS_SECONDS) return {};
    const whole = seconds / made;
    const later = STAGES.slice(STAGES.indexOf(stage) + 1).reduce((sum, next) => sum + WEIGHT[next], 0);
    return { secondsLeft: whole * (Math.max(0, 1 - done / total) + later / WEIGHT[stage]) };
  }
}
