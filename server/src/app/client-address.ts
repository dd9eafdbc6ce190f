/** The address of a client, behind trusted proxies the one that they forward. */
import { isIP } from 'node:net';
import type { Request } from 'express';

/**
 * Some proxies forward the port as well (`192.0.2.7:5678`, `[2001:db8::1]:5678`): with it each connection would be another
 * client. What is no address counts as the proxy's own, so that nobody writes words of his own into limits and trails.
 */
export function clientAddress({ ip, socket }: Pick<Request, 'ip' | 'socket'>): string | undefined {
  const [, v4, v6] = /^(?:([\d.]+)(?::\d+)?|\[([\da-f:.]+)\](?::\d+)?)$/i.exec(ip ?? '') ?? [];
  const bare = v4 ?? v6 ?? ip ?? '';
  // Of a connection that is closed only Express knows the address, where it has asked before.
  return isIP(bare) === 0 ? socket.remoteAddress : bare;
}
