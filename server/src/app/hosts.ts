/**
 * Which hosts a request may name. Browsers let a page that has bound its own name to our address speak to us as if it
 * were ours (DNS rebinding): it is told by that name, which it cannot hide.
 */
import { isIP, isIPv6 } from 'node:net';
import type { Request, RequestHandler } from 'express';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';

/** `uri-host [ ":" port ]` (RFC 9110 section 7.2), without user information, zones and percent signs, which no browser sends. */
const AUTHORITY = /^(\[[\da-f:.]+\]|[\w-]+(?:\.[\w-]+)*\.?)(?::(\d{0,5}))?$/i;
const LOOPBACK = ['127.0.0.1', '[::1]', 'localhost'];
/** Every address of the machine: to listen on, not to be asked by. */
const UNSPECIFIED = ['0.0.0.0', '::'];

/** Whether a host that `hostOf` gave is one of ours. */
export type IsOwnHost = (host: string) => boolean;

/** Loopback, the address that is listened on, and the configured names. */
export function ownHosts(listener: { host: string }, allowedHosts: readonly string[]): IsOwnHost {
  const listening = UNSPECIFIED.includes(listener.host)
    ? []
    : [isIPv6(listener.host) ? `[${listener.host}]` : listener.host];
  const own = new Set([...LOOPBACK, ...listening, ...allowedHosts].map(hostOf));
  return (host) => own.has(host);
}

/**
 * Of the API. Where there is a login and no names are configured any will do: a rebound page has no token.
 */
export function apiHosts(
  server: Pick<Config['server'], 'host' | 'allowedHosts'>,
  { isRequired }: { isRequired: boolean },
): IsOwnHost {
  return isRequired && server.allowedHosts.length === 0 ? () => true : ownHosts(server, server.allowedHosts);
}

/** Of metrics and probes: any address besides, because rebinding needs a name, and orchestrators ask by address. */
export function monitoringHosts(listener: { host: string }, allowedHosts: readonly string[]): IsOwnHost {
  const isOwn = ownHosts(listener, allowedHosts);
  return (host) => isIP(host.replace(/^\[|\]$/g, '')) !== 0 || isOwn(host);
}

/**
 * The host in a Host header or the like: in lower case, IPv6 in brackets and its shortest form, without the port.
 * @returns undefined for what is malformed
 */
export function hostOf(authority: string): string | undefined {
  const [, host, port] = AUTHORITY.exec(authority) ?? [];
  if (host === undefined || Number(port ?? 0) > 65_535) return undefined;
  if (!host.startsWith('[')) return host.toLowerCase();
  return isIPv6(host.slice(1, -1)) ? new URL(`http://${host}`).hostname : undefined;
}

/**
 * To be placed before all else. What a trusted proxy forwards is held to the same hosts, and so is the proxy's own request:
 * a page on the proxy's machine could say that it forwards.
 * @throws REQUEST_INVALID, MISDIRECTED_REQUEST (RFC 9110 section 15.5.20)
 */
export function requireHost(isOwn: IsOwnHost): RequestHandler {
  return (request, _response, next) => {
    // An absolute form names a host of its own, which would count instead of the header's (RFC 9112 section 3.2.2).
    if (!request.url.startsWith('/') && request.url !== '*')
      throw new StainError('REQUEST_INVALID', 'The target of a request is a path.');
    const { host = [] } = request.headersDistinct;
    if (host.length !== 1) throw new StainError('REQUEST_INVALID', 'A request has one Host header.');
    for (const authority of [...host, ...forwardedHosts(request)]) {
      const named = hostOf(authority);
      if (named === undefined)
        throw new StainError('REQUEST_INVALID', 'The host of the request is malformed.');
      if (!isOwn(named))
        throw new StainError(
          'MISDIRECTED_REQUEST',
          'The service does not answer to the name in the request.',
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
