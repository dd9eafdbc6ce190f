/** An archive that misbehaves on purpose: each test provides the handler of its requests. */

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FaultServer extends AsyncDisposable {
  readonly url: string;
  /** Method and URL of every request so far. */
  readonly requests: readonly string[];
  /** Connections that are open now. */
  readonly connections: () => Promise<number>;
  /** Closes all connections and refuses new ones, like an archive that is down. */
  goAway(): Promise<void>;
  /** Listens again, at the same address. */
  comeBack(): Promise<void>;
}

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  number: number,
) => void | Promise<void>;

/** @param handle also receives the number of the request, from 0 on */
export async function startFaultServer(handle: Handler): Promise<FaultServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    void handle(request, response, requests.length - 1);
  });
  const listen = async (port: number): Promise<void> => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const goAway = async (): Promise<void> => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/dicom-web`,
    requests,
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    goAway,
    comeBack: () => listen(port),
    [Symbol.asyncDispose]: goAway,
  };
}

/**
 * Sends bytes and breaks the connection after the client has had time to read them. Unread bytes would be lost with the
 * connection, which is not the slow archive that is simulated here.
 */
export function breakOffAfter(response: ServerResponse, bytes: Uint8Array): void {
  response.write(bytes, () => setTimeout(() => response.destroy(), 20));
}

/** Reads a request, or a response, to its end. */
export async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
