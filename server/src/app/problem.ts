/** Every error that leaves over HTTP, as problem+json (RFC 9457). */
import type { ErrorRequestHandler, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { isHiding } from '../auth/refusal.ts';
import type { Problem } from '../contract/index.ts';
import { StainError, toStainError } from '../errors.ts';
import { requestIdOf } from './log.ts';

/** RFC 6750 section 3. */
const CHALLENGES: Partial<Record<string, string>> = {
  UNAUTHENTICATED: 'Bearer error="invalid_token"',
  FORBIDDEN: 'Bearer error="insufficient_scope"',
};

/** Retry-After (RFC 9110 section 10.2.3) in seconds, for what passes by itself and is not known to the minute. */
const RETRY_AFTER_SECONDS: Partial<Record<string, number>> = { DATABASE_UNAVAILABLE: 5, QUEUE_FULL: 10 };

/** @param status where HTTP has one of its own for what the code says more broadly (405, 415) */
export function sendProblem(response: Response, error: StainError, status: number = error.status): void {
  const problem: Problem = {
    type: `${response.req.app.get('basePath')}/api/errors#${error.code}`,
    title: titleOf(error.code),
    status,
    detail: error.message,
    code: error.code,
    remedy: error.remedy,
    instance: `urn:uuid:${requestIdOf(response)}`,
    ...(Object.keys(error.data).length > 0 ? { data: { ...error.data } } : {}),
  };
  const challenge = CHALLENGES[error.code];
  if (challenge) response.set('WWW-Authenticate', challenge);
  const retryAfter = RETRY_AFTER_SECONDS[error.code];
  if (retryAfter !== undefined) response.set('Retry-After', String(retryAfter));
  response.locals['code'] = error.code;
  response.locals['isHiding'] = isHiding(error);
  // Whatever the route had said of the answer that it would have given.
  response.removeHeader('ETag');
  response.set('Cache-Control', 'no-store');
  response.status(status).type('application/problem+json').send(JSON.stringify(problem));
}

/** Whether somebody was not let in, here or by the archive, or does not hear of what is there: for the audit trail. */
export function isRefused(response: Response): boolean {
  return [401, 403].includes(response.statusCode) || response.locals['isHiding'] === true;
}

/** `SERIES_NOT_FOUND` reads "Series not found". */
function titleOf(code: string): string {
  const words = code.replaceAll('_', ' ').toLowerCase();
  return words[0]!.toUpperCase() + words.slice(1);
}

/** The value in the schema's type. @throws REQUEST_INVALID with the fields that are wrong, without their values */
export function parseInput<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message }));
  const detail = fields.map(({ field, message }) => (field ? `${field}: ${message}` : message)).join('; ');
  throw new StainError('REQUEST_INVALID', detail, { data: { fields } });
}

export const unknownRoute: RequestHandler = (_request, response) => {
  sendProblem(response, new StainError('NOT_FOUND', 'There is nothing at this address.'));
};

/** Last of all handlers. What nobody foresaw goes to the log whole, and to the client as INTERNAL without its text. */
export function problemHandler(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, _request, response, _next) => {
    const { error, status } = fromThrown(thrown);
    if (error.status >= 500)
      log.error({ requestId: requestIdOf(response), code: error.code, err: thrown }, 'request failed');
    // Half an answer cannot be taken back: the client sees the connection break.
    if (response.headersSent) response.destroy();
    else sendProblem(response, error, status);
  };
}

function fromThrown(thrown: unknown): { error: StainError; status?: number } {
  if (thrown instanceof StainError) return { error: thrown };
  // Errors of Express and its body parser (http-errors).
  const { status, type } = (thrown ?? {}) as { status?: unknown; type?: unknown };
  if (status === 413)
    return { error: new StainError('PAYLOAD_TOO_LARGE', 'The body of the request is too large.') };
  if (type === 'entity.parse.failed')
    return { error: new StainError('REQUEST_INVALID', 'The body is not JSON.') };
  if (typeof status === 'number' && status >= 400 && status < 500)
    return { error: new StainError('REQUEST_INVALID', 'The request cannot be read.'), status };
  const error = toStainError(thrown);
  return {
    error:
      error.code === 'INTERNAL'
        ? new StainError('INTERNAL', 'An unexpected error occurred.', { cause: thrown })
        : error,
  };
}
