/** Server-sent events of one job. */

import { once } from 'node:events';
import type { Request, Response } from 'express';
import type { JobEvent } from '../contract/index.ts';

/** How soon a browser comes back after the connection broke. */
const RETRY_MS = 2000;

/**
 * Sends the events until they end or the client leaves. Each carries the whole job, so nothing needs to be repeated
 * after a break: a client comes back with Last-Event-ID and gets the job as it is now, unless it knows that.
 * When there is nothing left to tell, the answer is 204, at which an EventSource stops coming back.
 * @param open starts the events after the one that the client knows
 */
export async function sendEvents(
  request: Request,
  response: Response,
  open: (signal: AbortSignal, after: string | undefined) => AsyncIterable<JobEvent>,
  { heartbeatMs, isOver }: { heartbeatMs: number; isOver: (after: string | undefined) => Promise<boolean> },
): Promise<void> {
  const after = request.get('Last-Event-ID');
  if (await isOver(after)) return void response.status(204).end();
  const left = new AbortController();
  response.once('close', () => left.abort());
  response.status(200).set({
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store',
    // nginx would hold events back until its buffer is full.
    'X-Accel-Buffering': 'no',
  });
  response.write(`retry: ${RETRY_MS}\n\n`);
  // Keeps proxies from closing a connection on which nothing happens.
  const heartbeat = setInterval(() => response.write(': still here\n\n'), heartbeatMs);
  try {
    for await (const { id, job } of open(left.signal, after)) {
      const fits = response.write(`id: ${id}\nevent: job\ndata: ${JSON.stringify(job)}\n\n`);
      if (!fits) await once(response, 'drain', { signal: left.signal });
    }
    response.end();
  } catch (error) {
    if (!left.signal.aborted) throw error;
  } finally {
    clearInterval(heartbeat);
  }
}
