/** Limits how often one user, or one address, may send requests. */
import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { StainError } from '../../../core/src/errors.ts';
import { LOCAL } from '../auth/principal.ts';
import { principalOf } from './authenticate.ts';
import { clientAddress } from './client-address.ts';

/** Bursts are fine: the mean over this time counts. */
const WINDOW_SECONDS = 10;
/** One subscriber's network: whoever has one IPv6 address has all of these (RFC 6177). */
const IPV6_PREFIX = 64;

/** Who is counted: the user behind `requireScope`; the address if there is no login. */
export function requesterOf(request: Request, response: Response): string {
  const principal = principalOf(response);
  return principal && principal.id !== LOCAL.id ? `user ${principal.id}` : networkOf(request);
}

/** The client's address; IPv6 by network. */
export function addressOf({ ip }: { readonly ip: string | undefined }): string {
  return ipKeyGenerator(ip ?? '', IPV6_PREFIX);
}

function networkOf(request: Request): string {
  return addressOf({ ip: clientAddress(request) });
}

/** Place behind `requireScope`. @throws RATE_LIMITED, with Retry-After */
export function limitRate(requestsPerSecond: number): RequestHandler {
  return limiter(requestsPerSecond, requesterOf);
}

/** Place before the login, so that invalid tokens cost little. @throws RATE_LIMITED, with Retry-After */
export function limitRateOfAddress(requestsPerSecond: number): RequestHandler {
  return limiter(requestsPerSecond, networkOf);
}

function limiter(
  requestsPerSecond: number,
  keyGenerator: (request: Request, response: Response) => string,
): RequestHandler {
  return rateLimit({
    windowMs: WINDOW_SECONDS * 1000,
    limit: requestsPerSecond * WINDOW_SECONDS,
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    keyGenerator,
    handler: (_request, _response, next) =>
      next(new StainError('RATE_LIMITED', `More than ${requestsPerSecond} requests per second.`)),
    validate: { trustProxy: false, xForwardedForHeader: false },
  });
}
