/** Starts an HTTP server and stops it without cutting off what is on its way. */
import { createServer, type Server, type ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';
import { invalidSetting, readSettingFile } from '../setting.ts';
import { type ClientTime, limitClientTime } from './client-time.ts';
import { limitConnections } from './connection-limit.ts';

/** Requests that last longer than this are cut off at the end. */
const GRACE_MS = 5000;
const IDLE_CHECK_MS = 50;

/** For a handshake, and then for the headers of a request: a connection on which neither comes is closed. */
const HEADERS_MS = 15_000;
const CHECK_MS = 1000;
const BODY_MS = 30_000;
const IDLE_MS = 60_000;
/** Between two requests on one connection. */
const KEEP_ALIVE_MS = 5000;
/** Of all header fields of a request together; tokens are the largest. */
const HEADER_BYTES = 16 * 1024;
/** A browser behind three proxies sends some thirty. */
const HEADER_FIELDS = 100;
const REQUESTS_PER_CONNECTION = 10_000;
const MAX_CONNECTIONS = 1000;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: Config['server']['tls'];
  readonly graceMs?: number;
  /** Most connections at once. Default 1000. */
  readonly maxConnections?: number;
  /** Most of one address, trusted proxies excepted. By default as many as there may be in all. */
  readonly connectionsPerAddress?: number;
  /** What clients are given, in milliseconds; for tests. */
  readonly times?: Partial<ClientTime> & { readonly headersMs?: number };
}

export interface Listening {
  /** Without a slash at its end, with the port that was given. */
  readonly url: string;
  /** Takes no new connections, lets open requests end within `graceMs`, then cuts them off. */
  close(): Promise<void>;
}

/** @throws CONFIGURATION_INVALID when the address is taken or not ours */
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
  const certificate = await readCertificate(tls);
  const options: ServerOptions = {
    headersTimeout: headersMs,
    // Bodies have a time of their own (client-time.ts), which STOW-RS is spared.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(CHECK_MS, headersMs),
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: HEADER_BYTES,
  };
  const server: Server = certificate
    ? createTlsServer({ ...options, ...certificate, minVersion: 'TLSv1.2', handshakeTimeout: headersMs })
    : createServer(options);
  // Node would leave out the fields beyond its limit without a word, such as the one that says that there is a body.
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
    url: `http${certificate ? 's' : ''}://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        // A kept-alive connection becomes idle when its last response ends; Node does not look again by itself.
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

async function readCertificate({
  certFile,
  keyFile,
}: Config['server']['tls']): Promise<{ cert: Buffer; key: Buffer } | undefined> {
  if (certFile === undefined && keyFile === undefined) return undefined;
  const read = async (key: string, file: string | undefined): Promise<Buffer> => {
    if (file === undefined) throw invalidSetting(key, 'certificate and key go together.');
    return readSettingFile(key, file);
  };
  return {
    cert: await read('server.tls.certFile', certFile),
    key: await read('server.tls.keyFile', keyFile),
  };
}
