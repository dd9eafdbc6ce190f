/**
 * Relays one request to another server and its response to the client, streamed in both directions at the pace of the
 * slower side.
 */
import { once } from 'node:events';
import type { Request, Response } from 'express';
import type { Dispatcher } from 'undici';
import { StainError } from '../../../core/src/errors.ts';
import { connectionFault } from '../dicomweb/faults.ts';
import { leaving } from '../web/leaving.ts';

export interface Outgoing {
  readonly origin: string;
  /** Path and query, sent exactly like this. */
  readonly path: string;
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  /** Values of Accept, best first: the others are for a server that refuses it. Only one for store requests. */
  readonly accepts: readonly string[];
  readonly refusals: ReadonlySet<number>;
}

export interface RelayOptions {
  readonly agent: Dispatcher;
  /** Longest silence of either side. */
  readonly timeoutMs: number;
  /**
   * Sets status and headers of the response.
   * @param accept the value that the server answered
   * @returns what the client gets of the body
   * @throws StainError to be sent instead of the response
   */
  onAnswer(
    answer: Dispatcher.ResponseData,
    body: AsyncIterable<Buffer>,
    accept: string,
  ): AsyncIterable<Buffer>;
}

/**
 * Resolves when the response has been sent or the client has left; if the client had sent everything to be stored, when
 * the response has been read. A response that breaks off also breaks the client's connection, because half a response
 * cannot be taken back.
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
    // A request received completely may be stored whether or not its client waits: the outcome belongs in the trail.
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
    // A response that arrives before the end of the request must not close the client's connection.
    const body =
      outgoing.method === 'POST' ? watched(request.iterator({ destroyOnReturn: false })) : undefined;
    const { accepts, refusals, headers, ...target } = outgoing;
    let accept = '';
    for (accept of accepts) {
      // The body of a refusal is read to the end, so that the connection can be reused.
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
    // The unread rest of the body is not awaited; cutting it off is not an error.
    answer?.body.on('error', () => {}).destroy();
  }
}

type Ask = Omit<Outgoing, 'headers' | 'accepts' | 'refusals'> & {
  readonly headers: Record<string, string>;
  readonly body: AsyncIterable<Uint8Array> | undefined;
  readonly signal: AbortSignal;
};

/** A busy archive drops connections before it answers: a request that only reads is retried once. */
async function ask(agent: Dispatcher, { body, ...options }: Ask): Promise<Dispatcher.ResponseData> {
  try {
    // undici accepts any iterable; its types list only Node's own streams.
    return await agent.request({ ...options, body: body as Dispatcher.DispatchOptions['body'] });
  } catch (error) {
    if (body || options.signal.aborted || !isDropped(error)) throw error;
    return agent.request(options);
  }
}

function isDropped(error: unknown): boolean {
  return ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'].includes((error as NodeJS.ErrnoException).code ?? '');
}
