/** An archive that misbehaves on purpose: each test gives the handler for the requests it expects. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FaultServer extends AsyncDisposable {
  readonly url: string;
  /** Method and URL of every request so far. */
  readonly requests: readonly string[];
  /** Connections that are open now. */
  readonly connections: () => Promise<number>;
}

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  number: number,
) => void | Promise<void>;

/** @param handle gets the number of the request too, from 0 on */
export async function startFaultServer(handle: Handler): Promise<FaultServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    void handle(request, response, requests.length - 1);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/dicom-web`,
    requests,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Reads a request to its end. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
