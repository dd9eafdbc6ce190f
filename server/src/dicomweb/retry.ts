/** What may be tried again, and when: exponential pauses with jitter, or what the archive asks for. */
import { setTimeout as pause } from 'node:timers/promises';
import { StainError, toStainError } from '../errors.ts';

export interface RetryPolicy {
  /** Tries after the first. */
  readonly maxRetries: number;
  /** Longest pause before the first retry, in milliseconds; it doubles with each. */
  readonly retryDelayMs: number;
}

const LONGEST_PAUSE_MS = 60_000;

/** Marks an error as one that may be gone when the request is sent again. */
export function passing(error: StainError, retryAfterMs?: number): StainError {
  passingErrors.set(error, retryAfterMs);
  return error;
}

const passingErrors = new WeakMap<StainError, number | undefined>();

export function isPassing(error: unknown): boolean {
  return error instanceof StainError && passingErrors.has(error);
}

/** Pause before retry number `retry` (0-based), in milliseconds. Full jitter spreads clients that failed together. */
export function retryPause(error: unknown, retry: number, policy: RetryPolicy): number {
  const asked = error instanceof StainError ? passingErrors.get(error) : undefined;
  if (asked !== undefined) return Math.min(asked, LONGEST_PAUSE_MS);
  return Math.random() * Math.min(policy.retryDelayMs * 2 ** retry, LONGEST_PAUSE_MS);
}

/** Waits before a retry. @throws CANCELLED or TIMED_OUT when the signal fires */
export async function waitBeforeRetry(
  error: unknown,
  retry: number,
  policy: RetryPolicy,
  signal: AbortSignal,
): Promise<void> {
  await waitFor(retryPause(error, retry, policy), signal);
}

/** @throws CANCELLED or TIMED_OUT when the signal fires */
export async function waitFor(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await pause(milliseconds, undefined, { signal });
  } catch {
    throw toStainError(signal.reason);
  }
}

/** Runs `work` until it succeeds, fails for good, or has been retried often enough; then its last error is thrown. */
export async function withRetries<T>(
  work: () => Promise<T>,
  policy: RetryPolicy,
  signal: AbortSignal,
): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error) || retry >= policy.maxRetries) throw error;
      await waitBeforeRetry(error, retry, policy, signal);
    }
  }
}

/** `Retry-After` (RFC 9110 section 10.2.3), seconds or a date, in milliseconds from now. */
export function parseRetryAfter(value: string | undefined, now = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
