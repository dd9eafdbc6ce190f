/** One request to another server and its answer back to the client, streamed both ways at the pace of the slower one. */
import { once } from 'node:events';
import type { Request, Response } from 'express';
import type { Agent, Dispatcher } from 'undici';
import { connectionFault } from '../dicomweb/faults.ts';
import { StainError } from '../errors.ts';
import { leaving } from '../leaving.ts';

export interface Outgoing {
  readonly origin: string;
  /** Path and query, sent exactly so. */
  readonly path: string;
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  /** Values of Accept, the best first: the others are for a server that refuses it. One for what stores. */
  readonly accepts: readonly string[];
  readonly refusals: ReadonlySet<number>;
}

export interface RelayOptions {
  readonly agent: Agent;
  /** Longest silence, of either side. */
  readonly timeoutMs: number;
  /**
   * Sets status and headers of the answer.
   * @param accept that it was given to
   * @returns what the client gets of its body
   * @throws StainError instead of the answer
   */
  onAnswer(
    answer: Dispatcher.ResponseData,
    body: AsyncIterable<Buffer>,
    accept: string,
  ): AsyncIterable<Buffer>;
}

/**
 * Ends when the answer has been sent, or the client has left; where it has sent all that is to be stored, when the answer
 * has been read. An answer that breaks off breaks the client's connection:
 * half an answer cannot be taken back.
 * @throws ARCHIVE_UNREACHABLE, ARCHIVE_TIMEOUT and the like, before anything was sent
 */
export async function relay(
  outgoing: Outgoing,
  request: Request,
  response: Response,
  options: RelayOptions,
): Promise<void> {
  const ended = new AbortController();
  const { signal } = ended;
  const idle = setTimeout(
    () => ended.abort(new StainError('ARCHIVE_TIMEOUT', 'The archive did not answer in time.')),
    options.timeoutMs,
  );
  const left = leaving(response);
  const onLeft = (): void => {
    // What was received whole may be stored whether its client waits or not: what became of it belongs into the trail.
    if (outgoing.method !== 'POST' || !request.complete) ended.abort();
  };
  if (left.aborted) onLeft();
  else left.addEventListener('abort', onLeft);
  async function* watched(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      idle.refresh();
      yield chunk;
    }
    idle.refresh();
  }
  let answer: Dispatcher.ResponseData | undefined;
  let isPassed = false;
  try {
    // An answer that comes before the end of the request must not close the client's connection.
    const body =
      outgoing.method === 'POST' ? watched(request.iterator({ destroyOnReturn: false })) : undefined;
    const { accepts, refusals, headers, ...target } = outgoing;
    let accept = '';
    for (accept of accepts) {
      // One that refuses is read to its end, so that its connection can be used again.
      await answer?.body.dump();
      answer = await ask(options.agent, { ...target, headers: { ...headers, accept }, body, signal });
      idle.refresh();
      if (!refusals.has(answer.statusCode)) break;
    }
    const chunks = options.onAnswer(answer!, watched(answer!.body), accept);
    isPassed = true;
    const either = AbortSignal.any([signal, left]);
    for await (const chunk of chunks)
      if (chunk.length > 0 && !response.destroyed && !response.write(chunk))
        await once(response, 'drain', { signal: either }).catch((error: unknown) => {
          if (signal.aborted) throw error;
        });
    if (!response.destroyed) response.end();
  } catch (error) {
    if (isPassed || response.destroyed) response.destroy();
    else throw connectionFault(error, 'request', signal);
  } finally {
    clearTimeout(idle);
    // What of it was not read is not waited for; that it is cut off is no fault.
    answer?.body.on('error', () => {}).destroy();
  }
}

type Ask = Omit<Outgoing, 'headers' | 'accepts' | 'refusals'> & {
  readonly headers: Record<string, string>;
  readonly body: AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal;
};

/** A busy archive drops connections before it has answered: what only reads is asked for once more. */
async function ask(agent: Agent, { body, ...options }: Ask): Promise<Dispatcher.ResponseData> {
  try {
    // undici takes any iterable; its types name only Node's own streams.
    return await agent.request({ ...options, body: body as Dispatcher.DispatchOptions['body'] });
  } catch (error) {
    if (body || options.signal.aborted || !isDropped(error)) throw error;
    return agent.request(options);
  }
}

function isDropped(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes((error as NodeJS.ErrnoException).code ?? '');
}
