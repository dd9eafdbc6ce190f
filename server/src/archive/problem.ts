/** Errors as problem details (RFC 9457) with the code of the error table. */
import type { Response } from 'express';
import { type StainError, toStainError } from '../errors.ts';
import { sendJson } from './json-response.ts';

/** Answers with the error; where the answer has begun already, its connection is cut so that nobody takes it for whole. */
export function sendProblem(response: Response, thrown: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const error = toStainError(thrown);
  response.status(error.status).set('Cache-Control', 'no-store');
  sendJson(response, 'application/problem+json', problemOf(error));
}

function problemOf(error: StainError): Record<string, unknown> {
  return {
    type: 'about:blank',
    title: error.remedy,
    status: error.status,
    detail: error.message,
    code: error.code,
  };
}
