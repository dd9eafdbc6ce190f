/** Clients that do not wait for their answer. */
import type { ServerResponse } from 'node:http';

/** Aborted when the answer is sent or its client has left. */
export function leaving(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  // It may have left already, while its token was looked at.
  if (response.destroyed) left.abort();
  else response.once('close', () => left.abort());
  return left.signal;
}
