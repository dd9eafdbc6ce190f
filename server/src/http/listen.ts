/** Starts an HTTP server, and stops it without cutting off requests in progress. */
import { createServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import { readTlsFiles } from '../tls.ts';
import { type ClientTime, limitClientTime } from './client-time.ts';
import { limitConnections } from './connection-limit.ts';

/** At shutdown, requests that take longer than this are cut off. */
const GRACE_MS = 5000;
const IDLE_CHECK_MS = 50;

/** For the TLS handshake, and then for the request headers: a connection on which either is missing is closed. */
const HEADERS_MS = 15_000;
const CHECK_MS = 1000;
const BODY_MS = 30_000;
const IDLE_MS = 60_000;
/** Between two requests on one connection. */
const KEEP_ALIVE_MS = 5000;
/** Total size of the request headers; tokens are the largest. */
const HEADER_BYTES = 16 * 1024;
/** A browser behind three proxies sends about thirty. */
const HEADER_FIELDS = 100;
const REQUESTS_PER_CONNECTION = 10_000;
const MAX_CONNECTIONS = 1000;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: Config['server']['tls'];
  readonly graceMs?: number;
  /** Maximum number of connections. Default 1000. */
  readonly maxConnections?: number;
  /** Maximum number per address, except trusted proxies. Default: `maxConnections`. */
  readonly connectionsPerAddress?: number;
  /** Time limits for clients, in milliseconds; for tests. */
  readonly times?: Partial<ClientTime> & { readonly headersMs?: number };
}

export interface Listening {
  /** Without a trailing slash, with the actual port. */
  readonly url: string;
  /** Accepts no new connections, lets open requests finish within `graceMs`, then cuts them off. */
  close(): Promise<void>;
}

/** @throws CONFIGURATION_INVALID if the address is in use or not ours */
export async function listen(
  app: Express,
  {
    host,
    port,
    tls = {},
    graceMs = GRACE_MS,
    maxConnections = MAX_CONNECTIONS,
    connectionsPerAddress = maxConnections,
    times: { headersMs = HEADERS_MS, bodyMs = BODY_MS, idleMs = IDLE_MS } = {},
  }: ListenOptions,
): Promise<Listening> {
  const certificate = await readTlsFiles('server.tls', tls);
  const options: ServerOptions = {
    headersTimeout: headersMs,
    // Bodies have their own time limit (client-time.ts), which does not apply to STOW-RS.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(CHECK_MS, headersMs),
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: HEADER_BYTES,
  };
  const server: Server = certificate.cert
    ? createTlsServer({ ...options, ...certificate, minVersion: 'TLSv1.2', handshakeTimeout: headersMs })
    : createServer(options);
  // Otherwise Node silently drops the headers beyond its limit, such as the one that announces a body.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION;
  limitConnections(server, {
    maxConnections,
    connectionsPerAddress,
    isProxy: (address) => app.get('trust proxy fn')(address, 0),
  });
  limitClientTime(server, { bodyMs, idleMs });
  server.on('request', (request, response) => {
    if (request.rawHeaders.length <= 2 * HEADER_FIELDS) app(request, response);
    else response.writeHead(431, { Connection: 'close' }).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new StainError('CONFIGURATION_INVALID', `Cannot listen on ${host}:${port}: ${cause.message}`, {
          cause,
        }),
      ),
    );
    server.listen({ host, port }, resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: `http${certificate.cert ? 's' : ''}://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        // A kept-alive connection becomes idle when its last response ends; Node does not check again by itself.
        const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
        const end = setTimeout(() => server.closeAllConnections(), graceMs);
        server.close(() => {
          clearInterval(idle);
          clearTimeout(end);
          resolve();
        });
      }),
  };
}
