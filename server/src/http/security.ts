/**
 * What a browser may do with our responses, and which pages may change something. The API is called by the viewer's
 * page: by default from the same origin, otherwise from one of `allowedOrigins`.
 */
import type { Request, RequestHandler } from 'express';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';

const API_POLICY = "default-src 'none'; frame-ancestors 'none'";
/** Methods that change nothing (RFC 9110 section 9.2.1). */
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

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

/** @throws ORIGIN_REFUSED if a page of another origin requests a change */
export function cors({ allowedOrigins }: { allowedOrigins: readonly string[] }): RequestHandler {
  return (request, response, next) => {
    const origin = request.get('Origin');
    response.vary('Origin');
    if (origin === undefined || !allowedOrigins.includes(origin)) {
      if (!SAFE_METHODS.includes(request.method) && isForeign(request, origin))
        throw new StainError('ORIGIN_REFUSED', 'Pages of this origin may not change anything here.');
      return next();
    }
    response.set({
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Expose-Headers':
        'ETag, Location, Retry-After, Stain-Normalization, Warning, WWW-Authenticate, X-Request-Id',
    });
    if (request.method !== 'OPTIONS' || request.get('Access-Control-Request-Method') === undefined)
      return next();
    response.set({
      'Access-Control-Allow-Methods': 'GET, POST, PUT, DELETE',
      'Access-Control-Allow-Headers':
        'Accept, Content-Type, Authorization, If-None-Match, Last-Event-ID, X-Request-Id',
      'Access-Control-Max-Age': '600',
    });
    response.status(204).end();
  };
}

/**
 * Whether a page of another origin sends this request. Its Origin counts, whatever Sec-Fetch-Site says: a page on
 * another port is on the same site, and a sandboxed frame has the Origin `null`. A request with neither header is not
 * from a browser.
 */
function isForeign(request: Request, origin: string | undefined): boolean {
  if (origin === undefined) return !['same-origin', 'none'].includes(request.get('Sec-Fetch-Site') ?? 'none');
  // As the browser writes it: without the port if that is the default.
  return URL.parse(`${request.protocol}://${request.host}`)?.origin !== origin;
}
