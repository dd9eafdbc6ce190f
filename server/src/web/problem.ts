/** Sends every HTTP error as problem details (RFC 9457) with the code of the error table. */
import type { Response } from 'express';
import type { Problem } from '../../../core/src/contract/index.ts';
import type { StainError } from '../../../core/src/errors.ts';
import { sendJson } from './json-response.ts';

/** RFC 6750 section 3. */
const CHALLENGES: Partial<Record<string, string>> = {
  UNAUTHENTICATED: 'Bearer error="invalid_token"',
  FORBIDDEN: 'Bearer error="insufficient_scope"',
};

/** Retry-After (RFC 9110 section 10.2.3) in seconds, for faults that pass by themselves at an unknown time. */
const RETRY_AFTER_SECONDS: Partial<Record<string, number>> = { DATABASE_UNAVAILABLE: 5, QUEUE_FULL: 10 };

/**
 * Answers with the error. If part of the response has already been sent, the connection is cut, so that nobody takes
 * that part for the whole.
 * @param status if HTTP has a more specific one than the error code (405, 415)
 */
export function sendProblem(response: Response, error: StainError, status: number = error.status): void {
  if (beginProblem(response, error, status))
    sendJson(response, 'application/problem+json', problemOf(response, error, status));
}

/** Sets status and headers, or cuts the connection: see `sendProblem`. @returns undefined if it was cut */
export function beginProblem(
  response: Response,
  error: StainError,
  status: number = error.status,
): { readonly retryAfterSeconds: number | undefined } | undefined {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return undefined;
  }
  const challenge = CHALLENGES[error.code];
  if (challenge) response.set('WWW-Authenticate', challenge);
  const retryAfterSeconds = RETRY_AFTER_SECONDS[error.code];
  if (retryAfterSeconds !== undefined) response.set('Retry-After', String(retryAfterSeconds));
  response.locals['code'] = error.code;
  response.locals['isHiding'] = error.hides;
  // Headers that the route set for the response it would have sent.
  response.removeHeader('ETag');
  response.status(status).set('Cache-Control', 'no-store');
  return { retryAfterSeconds };
}

/** Whether somebody was refused, here or by the archive, or is not told about what exists: for the audit trail. */
export function isRefused(response: Response): boolean {
  return [401, 403].includes(response.statusCode) || response.locals['isHiding'] === true;
}

/** The archive of a folder, which the command line serves to itself, has neither an error page nor request ids. */
function problemOf({ req, locals }: Response, error: StainError, status: number): Problem {
  const [basePath, requestId] = [req.app.get('basePath'), locals['requestId']];
  return {
    type: basePath === undefined ? 'about:blank' : `${basePath}/api/errors#${error.code}`,
    title: titleOf(error.code),
    status,
    detail: error.message,
    code: error.code,
    remedy: error.remedy,
    ...(requestId !== undefined && { instance: `urn:uuid:${requestId}` }),
    ...(Object.keys(error.data).length > 0 && { data: { ...error.data } }),
  };
}

/** `SERIES_NOT_FOUND` reads "Series not found". */
export function titleOf(code: string): string {
  const words = code.replaceAll('_', ' ').toLowerCase();
  return words[0]!.toUpperCase() + words.slice(1);
}
