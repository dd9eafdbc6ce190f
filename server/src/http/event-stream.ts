/** Server-sent events of one job. */

import { once } from 'node:events';
import type { Request, Response } from 'express';
import type { JobEvent } from '../../../core/src/contract/index.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import { count } from '../sharing/count.ts';
import { leaving } from '../web/leaving.ts';
import { requesterOf } from './rate-limit.ts';

/** How soon a browser reconnects after the connection breaks. */
const RETRY_MS = 2000;
/** How soon a refused client may retry. */
const RETRY_AFTER_SECONDS = 15;

/** The open streams of this process: each holds a connection. */
export class EventStreams {
  readonly #limits: Pick<Config['limits'], 'eventStreams' | 'eventStreamsPerUser'>;
  /** Number of streams per requester. */
  readonly #open = new Map<string, number>();
  #total = 0;

  constructor(limits: Pick<Config['limits'], 'eventStreams' | 'eventStreamsPerUser'>) {
    this.#limits = limits;
  }

  /**
   * Counts a stream until its response is closed; call before `sendEvents`. @throws TOO_MANY_STREAMS, with Retry-After
   */
  enter(request: Request, response: Response): void {
    const { eventStreams, eventStreamsPerUser } = this.#limits;
    const who = requesterOf(request, response);
    const own = this.#open.get(who) ?? 0;
    if (own >= eventStreamsPerUser || this.#total >= eventStreams) {
      response.set('Retry-After', String(RETRY_AFTER_SECONDS));
      throw own >= eventStreamsPerUser
        ? new StainError('TOO_MANY_STREAMS', `You have ${eventStreamsPerUser} open event streams.`, {
            data: { eventStreamsPerUser },
          })
        : new StainError('TOO_MANY_STREAMS', `${eventStreams} event streams are open.`, {
            data: { eventStreams },
          });
    }
    const signal = leaving(response);
    if (signal.aborted) return;
    this.#count(who, 1);
    signal.addEventListener('abort', () => this.#count(who, -1));
  }

  #count(who: string, change: 1 | -1): void {
    this.#total += change;
    count(this.#open, who, change);
  }
}

/**
 * Sends the events until they end or the client leaves. Each event carries the whole job, so nothing has to be repeated
 * after a break: the client reconnects with Last-Event-ID and gets the current job, unless it already has it. When
 * there is nothing left to send the answer is 204, and an EventSource stops reconnecting.
 * @param open starts the events after the one that the client has
 */
export async function sendEvents(
  request: Request,
  response: Response,
  open: (signal: AbortSignal, after: string | undefined) => AsyncIterable<JobEvent>,
  { heartbeatMs, isOver }: { heartbeatMs: number; isOver: (after: string | undefined) => Promise<boolean> },
): Promise<void> {
  const signal = leaving(response);
  const after = request.get('Last-Event-ID');
  if (await isOver(after)) return void response.status(204).end();
  response.status(200).set({
    'Content-Type': 'text/event-stream; charset=utf-8',
    // nginx would hold events back until its buffer is full.
    'X-Accel-Buffering': 'no',
  });
  response.write(`retry: ${RETRY_MS}\n\n`);
  // Keeps proxies from closing an idle connection. A client that does not read gets no heartbeat, and is then closed as
  // idle.
  const heartbeat = setInterval(() => {
    if (response.writableLength === 0) response.write(': still here\n\n');
  }, heartbeatMs);
  try {
    for await (const { id, job } of open(signal, after)) {
      const fits = response.write(`id: ${id}\nevent: job\ndata: ${JSON.stringify(job)}\n\n`);
      if (!fits) await once(response, 'drain', { signal });
    }
    response.end();
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    clearInterval(heartbeat);
  }
}
