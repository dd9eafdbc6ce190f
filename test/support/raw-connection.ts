/** A TCP connection to a server over which a test sends what no client library would. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawConnection extends Disposable {
  readonly socket: Socket;
  /** Everything received so far. */
  readonly received: string;
  readonly isClosed: boolean;
  /** Resolves when the received text matches. @throws if the connection closes before */
  until(pattern: RegExp): Promise<string>;
  /** Resolves when the other side has closed, with everything received. */
  closed(): Promise<string>;
}

/** @param from source address, such as 127.0.0.2 */
export async function connectRaw(url: string, from = '127.0.0.1'): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress: from });
  let received = '';
  socket.setEncoding('latin1').on('data', (text) => {
    received += text;
  });
  // A reset counts as closing.
  socket.on('error', () => {});
  await once(socket, 'connect');
  return {
    socket,
    get received() {
      return received;
    },
    get isClosed() {
      return socket.closed;
    },
    async until(pattern) {
      while (!pattern.test(received)) {
        if (socket.closed) throw new Error(`closed after ${JSON.stringify(received)}`);
        await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      }
      return received;
    },
    async closed() {
      // Not `once`, which throws if an error comes first.
      if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
      return received;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/**
 * Sends one request unchanged and returns the whole response. Without a Connection header the server decides when it
 * ends.
 */
export async function sendRaw(
  url: string,
  lines: readonly string[],
  { from, body = '' }: { from?: string; body?: string } = {},
): Promise<{ status: number; text: string }> {
  using connection = await connectRaw(url, from);
  connection.socket.write(`${lines.join('\r\n')}\r\n\r\n${body}`);
  const text = await connection.closed();
  return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]), text };
}
