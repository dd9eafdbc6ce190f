/** The address of a client; behind trusted proxies, the address that they forward. */
import { isIP } from 'node:net';
import type { Request } from 'express';

/**
 * Some proxies forward the port as well (`192.0.2.7:5678`, `[2001:db8::1]:5678`); with it each connection would count
 * as another client. If the value is not an address, the proxy's own address is used, so that nobody can write
 * arbitrary text into limits and trails.
 */
export function clientAddress({ ip, socket }: Pick<Request, 'ip' | 'socket'>): string | undefined {
  const [, v4, v6] = /^(?:([\d.]+)(?::\d+)?|\[([\da-f:.]+)\](?::\d+)?)$/i.exec(ip ?? '') ?? [];
  const bare = v4 ?? v6 ?? ip ?? '';
  // For a closed connection only Express knows the address, if it was read before.
  return isIP(bare) === 0 ? socket.remoteAddress : bare;
}
