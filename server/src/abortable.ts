/** Waiting that can be left, and work that must end. */

/**
 * What the promise gives, unless the signal fires first; the promise itself goes on.
 * @throws the reason of the signal
 */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const left = Promise.withResolvers<never>();
  const leave = (): void => left.reject(signal.reason);
  signal.addEventListener('abort', leave, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, left.promise]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}

/**
 * Work with a deadline, which its signal tells it of.
 * @throws `late` where the time is over, and what the work throws
 */
export async function withDeadline<T>(
  { seconds, late }: { readonly seconds: number; readonly late: (cause: unknown) => Error },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = AbortSignal.timeout(seconds * 1000);
  try {
    return await work(AbortSignal.any([signal, over]));
  } catch (cause) {
    throw over.aborted && !signal.aborted ? late(cause) : cause;
  }
}
