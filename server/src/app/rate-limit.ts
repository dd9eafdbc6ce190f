/** How often one user, or one address, may ask. */
import type { Request, RequestHandler, Response } from 'express';
import { ipKeyGenerator, rateLimit } from 'express-rate-limit';
import { LOCAL } from '../auth/principal.ts';
import { StainError } from '../errors.ts';
import { principalOf } from './authenticate.ts';
import { clientAddress } from './client-address.ts';

/** Bursts are fine: what counts is the mean over this time. */
const WINDOW_SECONDS = 10;
/** One network of the last mile: whoever has an IPv6 address has all of these (RFC 6177). */
const IPV6_PREFIX = 64;

/** Who is counted: behind `requireScope` the user, where there is no login the address. */
export function requesterOf(request: Request, response: Response): string {
  const principal = principalOf(response);
  return principal && principal.id !== LOCAL.id ? `user ${principal.id}` : networkOf(request);
}

/** The client's address, IPv6 by network. */
export function addressOf({ ip }: { readonly ip: string | undefined }): string {
  return ipKeyGenerator(ip ?? '', IPV6_PREFIX);
}

function networkOf(request: Request): string {
  return addressOf({ ip: clientAddress(request) });
}

/** To be placed behind `requireScope`. @throws RATE_LIMITED, with Retry-After */
export function limitRate(requestsPerSecond: number): RequestHandler {
  return limiter(requestsPerSecond, requesterOf);
}

/** To be placed before the login, so that tokens that are none cost little. @throws RATE_LIMITED, with Retry-After */
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
      next(new StainError('RATE_LIMITED', `More than ${requestsPerSecond} requests a second.`)),
    validate: { trustProxy: false, xForwardedForHeader: false },
  });
}
