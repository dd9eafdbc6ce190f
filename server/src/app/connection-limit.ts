/**
 * How many connections a server holds. Where one more comes than may be, the oldest on which nothing is asked is closed for
 * it: whoever opens connections and does nothing with them holds up nobody.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { count } from '../count.ts';
import { addressOf } from './rate-limit.ts';

export interface ConnectionLimits {
  /** Most connections in all. */
  readonly maxConnections: number;
  /** Most of one address, IPv6 by network. */
  readonly connectionsPerAddress: number;
  /** Whether an address is that of a proxy, through which many come. */
  readonly isProxy: (address: string) => boolean;
}

interface Connection {
  readonly socket: Socket;
  /** Undefined for proxies. */
  readonly address: string | undefined;
  /** Requests that are not answered yet. */
  requests: number;
}

export function limitConnections(server: Server, limits: ConnectionLimits): void {
  const { maxConnections, connectionsPerAddress, isProxy } = limits;
  /** In the order in which they were opened. */
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
    // It has been closed already.
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

/** Over TLS a request knows another socket than the one that was accepted. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
