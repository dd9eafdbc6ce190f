/** What may be retried, and when: exponential delays with jitter, or what the archive asks for. */
import { setTimeout as pause } from 'node:timers/promises';
import { StainError, toStainError } from '../../../core/src/errors.ts';

export interface RetryPolicy {
  /** Maximum number of retries. */
  readonly maxRetries: number;
  /** Longest delay before the first retry, in milliseconds; it doubles with each retry. */
  readonly retryDelayMs: number;
}

const MAX_PAUSE_MS = 60_000;

export function isRetryable(error: unknown): boolean {
  return error instanceof StainError && error.retry !== undefined;
}

/**
 * Delay before retry number `retry` (0-based), in milliseconds. Full jitter spreads out clients that failed together.
 */
export function retryPause(error: unknown, retry: number, policy: RetryPolicy): number {
  const asked = error instanceof StainError ? error.retry?.afterMs : undefined;
  if (asked !== undefined) return Math.min(asked, MAX_PAUSE_MS);
  return Math.random() * Math.min(policy.retryDelayMs * 2 ** retry, MAX_PAUSE_MS);
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

/** Runs `work` until it succeeds, fails permanently or exhausts its retries; then throws the last error. */
export async function withRetries<T>(
  work: () => Promise<T>,
  policy: RetryPolicy,
  signal: AbortSignal,
): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await work();
    } catch (error) {
      if (!isRetryable(error) || retry >= policy.maxRetries) throw error;
      await waitBeforeRetry(error, retry, policy, signal);
    }
  }
}

/** `Retry-After` (RFC 9110 section 10.2.3), in seconds or as a date, as milliseconds from now. */
export function parseRetryAfter(value: string | undefined, now = Date.now()): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
