/** How often one user, or one address without a login, may ask. */
import type { RequestHandler } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { StainError } from '../errors.ts';
import { principalOf } from './authenticate.ts';

/** Bursts are fine: what counts is the mean over this time. */
const WINDOW_SECONDS = 10;

/** To be placed behind `requireScope`. @throws RATE_LIMITED, with Retry-After */
export function limitRate(requestsPerSecond: number): RequestHandler {
  return rateLimit({
    windowMs: WINDOW_SECONDS * 1000,
    limit: requestsPerSecond * WINDOW_SECONDS,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    keyGenerator: (request, response) => principalOf(response)?.id ?? ipKeyGenerator(request.ip ?? ''),
    handler: (_request, _response, next) =>
      next(new StainError('RATE_LIMITED', `More than ${requestsPerSecond} requests a second.`)),
    validate: { trustProxy: false, xForwardedForHeader: false },
  });
}
