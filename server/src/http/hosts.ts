/**
 * Which hosts a request may name. If a page binds its own name to our address, browsers let it speak to us as if it
 * were ours (DNS rebinding). The request then names that host, and the page cannot change this.
 */
import { isIP, isIPv6 } from 'node:net';
import type { Request, RequestHandler } from 'express';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';

/**
 * `uri-host [ ":" port ]` (RFC 9110 section 7.2), without user information, zones and percent signs, which no browser
 * sends.
 */
const AUTHORITY = /^(\[[\da-f:.]+\]|[\w-]+(?:\.[\w-]+)*\.?)(?::(\d{0,5}))?$/i;
const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost'];
/** All addresses of the machine: valid to listen on, but not as the host of a request. */
const UNSPECIFIED = ['0.0.0.0', '::'];

/** Whether a host returned by `hostOf` is ours. */
export type IsOwnHost = (host: string) => boolean;

/** Loopback, the listening address and the configured names. */
export function ownHosts(listener: { host: string }, allowedHosts: readonly string[]): IsOwnHost {
  const listening = UNSPECIFIED.includes(listener.host)
    ? []
    : [isIPv6(listener.host) ? `[${listener.host}]` : listener.host];
  const own = new Set([...LOOPBACK, ...listening, ...allowedHosts].map(hostOf));
  return (host) => own.has(host);
}

/**
 * Hosts of the API. With a login and no configured names, any host is accepted: a rebound page has no token.
 */
export function apiHosts(
  server: Pick<Config['server'], 'host' | 'allowedHosts'>,
  { isRequired }: { isRequired: boolean },
): IsOwnHost {
  return isRequired && server.allowedHosts.length === 0 ? () => true : ownHosts(server, server.allowedHosts);
}

/**
 * Hosts of metrics and probes: any IP address as well, because rebinding needs a name, and orchestrators use addresses.
 */
export function monitoringHosts(listener: { host: string }, allowedHosts: readonly string[]): IsOwnHost {
  const isOwn = ownHosts(listener, allowedHosts);
  return (host) => isIP(host.replace(/^\[|\]$/g, '')) !== 0 || isOwn(host);
}

/**
 * The host of a Host header or similar: in lower case, IPv6 in brackets and in its shortest form, without the port.
 * @returns undefined if it is malformed
 */
export function hostOf(authority: string): string | undefined {
  const [, host, port] = AUTHORITY.exec(authority) ?? [];
  if (host === undefined || Number(port ?? 0) > 65_535) return undefined;
  if (!host.startsWith('[')) return host.toLowerCase();
  return isIPv6(host.slice(1, -1)) ? new URL(`http://${host}`).hostname : undefined;
}

/**
 * Must come before everything else. The host forwarded by a trusted proxy must be one of ours, and so must the host of
 * the proxy's own request: a page on the proxy's machine could claim to forward.
 * @throws REQUEST_INVALID, MISDIRECTED_REQUEST (RFC 9110 section 15.5.20)
 */
export function requireHost(isOwn: IsOwnHost): RequestHandler {
  return (request, _response, next) => {
    // A target in absolute form names a host of its own, which would override the header (RFC 9112 section 3.2.2).
    if (!request.url.startsWith('/') && request.url !== '*')
      throw new StainError('REQUEST_INVALID', 'The target of a request must be a path.');
    const { host = [] } = request.headersDistinct;
    if (host.length !== 1)
      throw new StainError('REQUEST_INVALID', 'A request must have exactly one Host header.');
    for (const authority of [...host, ...forwardedHosts(request)]) {
      const named = hostOf(authority);
      if (named === undefined)
        throw new StainError('REQUEST_INVALID', 'The host of the request is malformed.');
      if (!isOwn(named))
        throw new StainError(
          'MISDIRECTED_REQUEST',
          'The service does not accept requests for this host name.',
        );
    }
    next();
  };
}

/** Each proxy on the way may have added one. */
function forwardedHosts(request: Request): string[] {
  const isTrusted = request.app.get('trust proxy fn') as (
    address: string | undefined,
    hop: number,
  ) => boolean;
  if (!isTrusted(request.socket.remoteAddress, 0)) return [];
  return (request.get('X-Forwarded-Host') ?? '')
    .split(',')
    .map((authority) => authority.trim())
    .filter((authority) => authority !== '');
}
