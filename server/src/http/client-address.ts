/** The address of a client; behind trusted proxies, the address that they forward. */
import { isIP } from 'node:net';
import type { Request } from 'express';

/** Asked for early by the rate limit: Node takes the socket from a request whose body is given up. */
const known = new WeakMap<object, { readonly address: string | undefined }>();

/** The same for the whole time of a request, even after its connection is closed. */
export function clientAddress(request: Pick<Request, 'ip' | 'socket'>): string | undefined {
  const found = known.get(request) ?? { address: addressOf(request) };
  known.set(request, found);
  return found.address;
}

/**
 * Some proxies forward the port as well (`192.0.2.7:5678`, `[2001:db8::1]:5678`); with it each connection would count
 * as another client. If the value is not an address, the proxy's own address is used, so that nobody can write
 * arbitrary text into limits and trails.
 */
function addressOf({ ip, socket }: Pick<Request, 'ip' | 'socket'>): string | undefined {
  const [, v4, v6] = /^(?:([\d.]+)(?::\d+)?|\[([\da-f:.]+)\](?::\d+)?)$/i.exec(ip ?? '') ?? [];
  const bare = v4 ?? v6 ?? ip ?? '';
  return isIP(bare) === 0 ? socket.remoteAddress : bare;
}
