/** Time limits for clients: to send a body, and to continue sending or reading. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

export interface ClientTime {
  /** For the complete body of a request, in milliseconds. */
  readonly bodyMs: number;
  /** Without a byte transferred in either direction, in milliseconds. */
  readonly idleMs: number;
}

/** How long to go on reading an unwanted body, so that the client sees the answer instead of a broken pipe. */
const LINGER_MS = 2000;

const deadlines = new WeakMap<IncomingMessage, NodeJS.Timeout>();

/** Ends requests of clients that take longer. A body that does not arrive is answered with 408. */
export function limitClientTime(server: Server, { bodyMs, idleMs }: ClientTime): void {
  server.timeout = idleMs;
  server.on('request', (request, response) => {
    // Node takes the socket from a request whose body is no longer read.
    const { socket } = request;
    response.on('timeout', () => {
      if (waitsForClient(request, response)) socket.destroy();
      // The archive may take its time, and so may the service.
      else socket.setTimeout(idleMs);
    });
    if (!hasBody(request)) return;
    deadlines.set(
      request,
      setTimeout(() => endBody(request, response, socket), bodyMs),
    );
    request.once('end', () => liftBodyDeadline(request));
    request.once('close', () => liftBodyDeadline(request));
    response.once('finish', () => {
      if (request.complete) return;
      liftBodyDeadline(request);
      deadlines.set(
        request,
        setTimeout(() => {
          if (!request.complete) socket.destroy();
        }, LINGER_MS),
      );
    });
  });
}

/** For a body of many gigabytes (STOW-RS): its length and its pauses are limited, but not its total time. */
export function liftBodyDeadline(request: IncomingMessage): void {
  clearTimeout(deadlines.get(request));
  deadlines.delete(request);
}

function endBody(request: IncomingMessage, response: ServerResponse, socket: Socket): void {
  if (request.complete) return;
  if (response.headersSent) socket.destroy();
  else response.writeHead(408, { Connection: 'close' }).end(() => socket.destroySoon());
}

/** Whether it is the client's turn to send more of a body that we would read, or to read what we have sent. */
function waitsForClient(request: IncomingMessage, response: ServerResponse): boolean {
  return (!request.complete && request.readableLength === 0) || response.writableLength > 0;
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
