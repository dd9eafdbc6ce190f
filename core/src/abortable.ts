/** Waiting that can be abandoned, and work with a time limit. */

/**
 * Resolves like the promise, unless the signal fires first; the promise itself continues.
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
 * Resolves at the first call of what `subscribe` is given; `subscribe` returns the function that ends it.
 * @throws the reason of the signal
 */
export async function untilCalled(
  subscribe: (call: () => void) => () => void,
  signal: AbortSignal,
): Promise<void> {
  const called = Promise.withResolvers<void>();
  const stop = subscribe(called.resolve);
  try {
    await untilAborted(called.promise, signal);
  } finally {
    stop();
  }
}

/**
 * Runs work with a deadline, of which its signal informs it.
 * @throws `late` if the time is over, and whatever the work throws
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
