/** Observes a number during an operation. */

/** The largest value, observed in every turn of the event loop until the work is done. */
export async function peakDuring<T>(
  look: () => number,
  work: () => Promise<T>,
): Promise<{ peak: number; result: T }> {
  let peak = look();
  let isDone = false;
  const watch = (): void => {
    peak = Math.max(peak, look());
    if (!isDone) setImmediate(watch);
  };
  watch();
  try {
    const result = await work();
    return { result, peak };
  } finally {
    isDone = true;
  }
}
