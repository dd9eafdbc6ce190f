/** How often a checkpoint is written. */

/** A checkpoint takes the disk's time; it may take this part of all time. */
const MOST_OVERHEAD = 0.02;

/** Does something no sooner than `seconds` after the last time, and so seldom that it costs little. */
export function checkpointPause(seconds: number): { unless(work: () => Promise<void>): Promise<void> } {
  let next = performance.now() + seconds * 1000;
  return {
    async unless(work) {
      const start = performance.now();
      if (start < next) return;
      await work();
      const took = performance.now() - start;
      next = performance.now() + Math.max(seconds * 1000, seconds > 0 ? took / MOST_OVERHEAD : 0);
    },
  };
}
