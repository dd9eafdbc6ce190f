/** Bodies of the API: JSON, small and shallow. */
import express, { type RequestHandler } from 'express';
import { StainError } from '../../../core/src/errors.ts';

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

function isDeeper(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return limit === 0 || Object.values(value).some((inner) => isDeeper(inner, limit - 1));
}
