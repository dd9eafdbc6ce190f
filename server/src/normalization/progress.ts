/** Turns work done in stages into one fraction that never decreases, a rate and the time left. */
import { type Progress, STAGES, type Stage } from './types.ts';

/** Share of the whole time that each stage takes, roughly, with the network on a CPU. */
const WEIGHT: Record<Stage, number> = {
  open: 0.01,
  fetch: 0.04,
  fit: 0.12,
  normalize: 0.77,
  store: 0.05,
  verify: 0.01,
};

/** A time left told from less than this part of a stage would be a guess. */
const SHORTEST_BASIS = 0.05;

/** A rate over less than this says more about when it was asked than about the work. */
const SHORTEST_RATE_SECONDS = 1;

export class ProgressTracker {
  readonly #onProgress: (progress: Progress) => void;
  readonly #now: () => number;
  #stage: Stage = 'open';
  #stageStart: number;

  constructor(onProgress: (progress: Progress) => void, now: () => number = () => performance.now()) {
    this.#onProgress = onProgress;
    this.#now = now;
    this.#stageStart = now();
  }

  report(stage: Stage, done: number, total: number, unit: Progress['unit']): void {
    if (stage !== this.#stage) {
      this.#stage = stage;
      this.#stageStart = this.#now();
    }
    const before = STAGES.slice(0, STAGES.indexOf(stage)).reduce((sum, earlier) => sum + WEIGHT[earlier], 0);
    const ofStage = total > 0 ? Math.min(1, done / total) : 1;
    const fraction = Math.min(1, before + WEIGHT[stage] * ofStage);
    const seconds = (this.#now() - this.#stageStart) / 1000;
    const rate =
      unit === 'pixels' && seconds >= SHORTEST_RATE_SECONDS
        ? { megapixelsPerSecond: done / 1e6 / seconds }
        : {};
    this.#onProgress({
      stage,
      done,
      total,
      unit,
      fraction,
      ...rate,
      ...this.#secondsLeft(stage, ofStage, fraction, seconds),
    });
  }

  /** From the pace of this stage, with the later stages in proportion to their weights. */
  #secondsLeft(stage: Stage, ofStage: number, fraction: number, seconds: number): { secondsLeft?: number } {
    if (ofStage < SHORTEST_BASIS) return {};
    const perWeight = seconds / (WEIGHT[stage] * ofStage);
    return { secondsLeft: Math.max(0, perWeight * (1 - fraction)) };
  }
}
