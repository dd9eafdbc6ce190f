/** Bodies of the API: JSON, small and shallow. */
import express, { type Request, type RequestHandler } from 'express';
import type { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';
import { parseInput } from './problem.ts';

/** Our largest request is a few hundred bytes. The archive reads its own bodies. */
const BODY_LIMIT = '64kb';
/** No request of ours is nested deeper; such a body may be meant to exhaust the stack of a recursive reader. */
const DEPTH_LIMIT = 32;

/** @throws PAYLOAD_TOO_LARGE, REQUEST_INVALID (through problem.ts) */
export function jsonBody(): RequestHandler[] {
  return [
    express.json({ limit: BODY_LIMIT, type: ['application/json', 'application/dicom+json'] }),
    (request, _response, next) => {
      if (isDeeper(request.body, DEPTH_LIMIT))
        throw new StainError('REQUEST_INVALID', `The body is nested deeper than ${DEPTH_LIMIT} levels.`);
      next();
    },
  ];
}

/** What a request sends, as `schema` wants it. @throws REQUEST_INVALID */
export function parseBody<T>(schema: z.ZodType<T>, request: Request): T {
  // Left unread by jsonBody: `curl -d` calls it a form.
  if (request.body === undefined)
    throw new StainError(
      'REQUEST_INVALID',
      'A JSON body is required, with the header Content-Type: application/json.',
    );
  return parseInput(schema, request.body);
}

function isDeeper(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return limit === 0 || Object.values(value).some((inner) => isDeeper(inner, limit - 1));
}
