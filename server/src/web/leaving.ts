/** Clients that do not wait for their response. */
import type { ServerResponse } from 'node:http';

/** Aborted when the response has been sent or the client has left. */
export function leaving(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  // It may already have left while its token was being verified.
  if (response.destroyed) left.abort();
  else response.once('close', () => left.abort());
  return left.signal;
}
