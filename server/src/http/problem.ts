/** Turns whatever a route throws, and invalid input, into problem responses. */
import type { ErrorRequestHandler, RequestHandler } from 'express';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { sendProblem } from '../web/problem.ts';
import { requestIdOf } from './log.ts';
import { sendProblemPage } from './problem-page.ts';

/** Parses a value with a schema. @throws REQUEST_INVALID with the names of the invalid fields, without their values */
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

/** The last handler. An unexpected error is logged in full, and sent to the client as INTERNAL without its text. */
export function problemHandler(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    const { error, status } = fromThrown(thrown);
    if (error.status >= 500)
      log.error({ requestId: requestIdOf(response), code: error.code, err: thrown }, 'request failed');
    const page: string | undefined = response.locals['page'];
    if (page === undefined || request.accepts(['json', 'html']) !== 'html')
      return sendProblem(response, error, status);
    const address = `${request.app.get('basePath')}${page}`;
    sendProblemPage(response, error, status, request.path === address ? undefined : address);
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
