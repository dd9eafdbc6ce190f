/** A TCP connection to a server over which a test sends what no client library would. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawConnection extends Disposable {
  readonly socket: Socket;
  /** All that has come. */
  readonly received: string;
  readonly isClosed: boolean;
  /** Until what has come matches. @throws when the connection closes before */
  until(pattern: RegExp): Promise<string>;
  /** Until the other side has closed, with all that has come. */
  closed(): Promise<string>;
}

/** @param from address of this host to come from, such as 127.0.0.2 */
export async function connectRaw(url: string, from = '127.0.0.1'): Promise<RawConnection> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), localAddress: from });
  let received = '';
  socket.setEncoding('latin1').on('data', (text) => {
    received += text;
  });
  // A reset is a way to close.
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
      // Not by `once`, which throws where an error comes first.
      if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
      return received;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** One request as it stands, and the whole answer. Without a Connection header the answer ends when the server wants. */
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
