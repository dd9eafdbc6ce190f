/** How often a checkpoint is written. */

/** Writing checkpoints may take this fraction of the total time. */
const MAX_OVERHEAD = 0.02;

/** Runs something at most every `seconds`, and rarely enough that it costs little. */
export function checkpointPause(seconds: number): { unless(work: () => Promise<void>): Promise<void> } {
  let next = performance.now() + seconds * 1000;
  return {
    async unless(work) {
      const start = performance.now();
      if (start < next) return;
      await work();
      const took = performance.now() - start;
      next = performance.now() + Math.max(seconds * 1000, seconds > 0 ? took / MAX_OVERHEAD : 0);
    },
  };
}
