/** A time limit for work that cannot be aborted: the caller continues, and the outcome of the work is ignored. */

/** @param ms milliseconds @param late creates the error to throw after that time */
export async function withinTime<T>(work: () => Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work(), over]);
  } finally {
    clearTimeout(timer);
  }
}
