/** Waiting that can be left, and work that must end. */
import { type ErrorCode, StainError } from './errors.ts';

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
 * @throws an error of `code` where the time is over, and what the work throws
 */
export async function withDeadline<T>(
  { seconds, code, what }: { readonly seconds: number; readonly code: ErrorCode; readonly what: string },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = AbortSignal.timeout(seconds * 1000);
  try {
    return await work(AbortSignal.any([signal, late]));
  } catch (cause) {
    if (!late.aborted || signal.aborted) throw cause;
    throw new StainError(code, `${what} took more than ${seconds} s.`, { data: { seconds }, cause });
  }
}
