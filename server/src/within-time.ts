/** A time limit for work that cannot be aborted: whoever waits goes on, the work comes to its own end unheard. */

/** @param ms milliseconds @param late what is thrown when they are over */
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
