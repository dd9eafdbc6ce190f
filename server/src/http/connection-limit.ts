/**
 * Limits the connections of a server. When one too many arrives, the oldest connection without a request is closed:
 * connections that do nothing block nobody.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { count } from '../sharing/count.ts';
import { addressOf } from './rate-limit.ts';

export interface ConnectionLimits {
  /** Maximum number of connections. */
  readonly maxConnections: number;
  /** Maximum number of connections per address; IPv6 counts by network. */
  readonly connectionsPerAddress: number;
  /** Whether an address is that of a proxy, which carries the connections of many clients. */
  readonly isProxy: (address: string) => boolean;
}

interface Connection {
  readonly socket: Socket;
  /** Undefined for proxies. */
  readonly address: string | undefined;
  /** Requests not yet answered. */
  requests: number;
}

export function limitConnections(server: Server, limits: ConnectionLimits): void {
  const { maxConnections, connectionsPerAddress, isProxy } = limits;
  /** In the order of opening. */
  const open = new Map<string, Connection>();
  const ofAddress = new Map<string, number>();

  const remove = (key: string, { address, socket }: Connection): void => {
    if (open.get(key)?.socket !== socket) return;
    open.delete(key);
    if (address !== undefined) count(ofAddress, address, -1);
  };
  /** @returns whether there is room now */
  const closeOldestIdle = (matches: (connection: Connection) => boolean): boolean => {
    for (const [key, connection] of open)
      if (connection.requests === 0 && matches(connection)) {
        remove(key, connection);
        connection.socket.destroy();
        return true;
      }
    return false;
  };

  server.on('connection', (socket: Socket) => {
    const ip = socket.remoteAddress;
    // The connection is already closed.
    if (ip === undefined) return;
    const address = isProxy(ip) ? undefined : addressOf({ ip });
    const isFull =
      (address !== undefined &&
        (ofAddress.get(address) ?? 0) >= connectionsPerAddress &&
        !closeOldestIdle((other) => other.address === address)) ||
      (open.size >= maxConnections && !closeOldestIdle(() => true));
    if (isFull) return void socket.destroy();
    const [key, connection] = [keyOf(socket), { socket, address, requests: 0 }];
    open.set(key, connection);
    if (address !== undefined) count(ofAddress, address, 1);
    socket.once('close', () => remove(key, connection));
  });
  server.on('request', ({ socket }, response) => {
    const connection = open.get(keyOf(socket));
    if (!connection) return;
    connection.requests++;
    response.once('close', () => connection.requests--);
  });
}

/** Over TLS, a request has a different socket from the accepted one. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
