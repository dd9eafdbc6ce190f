/**
 * What a browser may do with our answers. The API is called by the viewer's page: by default one of the same origin,
 * otherwise one of `allowedOrigins`. A request that changes something needs JSON or a method that is not "simple",
 * so a foreign page cannot send it without being asked for its origin first; the one exception, POST .../cancel, is
 * refused by its Origin here.
 */
import type { RequestHandler } from 'express';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';

const API_POLICY = "default-src 'none'; frame-ancestors 'none'";

export function securityHeaders({
  allowedOrigins,
  tls,
}: Pick<Config['server'], 'allowedOrigins' | 'tls'>): RequestHandler {
  return (_request, response, next) => {
    response.set({
      'Content-Security-Policy': API_POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'X-Frame-Options': 'DENY',
      'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
      'X-Permitted-Cross-Domain-Policies': 'none',
      ...(tls.certFile !== undefined && { 'Strict-Transport-Security': 'max-age=31536000' }),
      // A viewer under Cross-Origin-Embedder-Policy loads nothing without this.
      'Cross-Origin-Resource-Policy': allowedOrigins.length > 0 ? 'cross-origin' : 'same-origin',
    });
    next();
  };
}

export function cors({ allowedOrigins }: { allowedOrigins: readonly string[] }): RequestHandler {
  return (request, response, next) => {
    const origin = request.get('Origin');
    response.vary('Origin');
    if (origin === undefined) return next();
    if (!allowedOrigins.includes(origin)) {
      // Browsers say so themselves when a page of another site sends a request; others have no such header.
      const foreign =
        request.get('Sec-Fetch-Site') === 'cross-site' &&
        !['GET', 'HEAD', 'OPTIONS'].includes(request.method);
      if (foreign)
        throw new StainError(
          'REQUEST_INVALID',
          'Pages of this origin may not call the API; see server.allowedOrigins.',
        );
      return next();
    }
    response.set({
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers': 'Location, Retry-After, Warning, WWW-Authenticate, X-Request-Id',
    });
    if (request.method !== 'OPTIONS' || request.get('Access-Control-Request-Method') === undefined)
      return next();
    response.set({
      'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE',
      'Access-Control-Allow-Headers': 'Content-Type, Authorization, Last-Event-ID, X-Request-Id',
      'Access-Control-Max-Age': '600',
    });
    response.status(204).end();
  };
}
