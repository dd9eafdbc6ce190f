/** Starts an HTTP server and stops it without cutting off what is on its way. */
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';
import { invalidSetting, readSettingFile } from '../setting.ts';

/** Requests that last longer than this are cut off at the end. */
const GRACE_MS = 5000;
const IDLE_CHECK_MS = 50;

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: Config['server']['tls'];
  readonly graceMs?: number;
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
  { host, port, tls = {}, graceMs = GRACE_MS }: ListenOptions,
): Promise<Listening> {
  const certificate = await readCertificate(tls);
  const server = certificate
    ? createTlsServer({ ...certificate, minVersion: 'TLSv1.2' }, app)
    : createServer(app);
  // A slide of many gigabytes may be stored in one request: its length is limited, not its time.
  server.requestTimeout = 0;
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
