/** Requests to one archive: headers, time limits, retries of what is safe to repeat, redirects, errors. */
import { Readable } from 'node:stream';
import { Agent, type Dispatcher } from 'undici';
import { type ErrorCode, StainError } from '../errors.ts';
import { ArchiveHabits, type OtherWays, othersThan } from './archive-habits.ts';
import { decodeBody } from './decode-body.ts';
import type { DicomJson } from './dicom-json.ts';
import { connectionFault, statusFault, webPageFault } from './faults.ts';
import { parseDataSets } from './parse-json.ts';
import { parseRetryAfter, type RetryPolicy, withRetries } from './retry.ts';

export interface ConnectionOptions {
  /** Root of the DICOMweb service; user and password in it become an Authorization header. */
  readonly url: string;
  /** Headers of every request; a function is asked anew each time, so that tokens stay fresh. */
  readonly headers?:
    | Record<string, string>
    | (() => Promise<Record<string, string>> | Record<string, string>);
  /** Longest silence: for the connection, until the headers of the answer, and between bytes of its body. Default 60 s. */
  readonly timeoutMs?: number;
  /** Longest silence of an archive that works on a STOW request. Default 5 minutes. */
  readonly storeTimeoutMs?: number;
  /** Tries after the first, for what may be repeated. Default 3. */
  readonly maxRetries?: number;
  /** Longest pause before the first retry. Default 500 ms. */
  readonly retryDelayMs?: number;
  /** Hears of every request: status, or code of the fault, and seconds up to the headers of the answer. */
  readonly onAnswer?: ((method: string, outcome: string, seconds: number) => void) | undefined;
  /** Where several connections go to one archive: what one has learnt of it, the others know. */
  readonly habits?: ArchiveHabits;
}

export interface ArchiveRequest {
  /** Segments below the root. */
  readonly path: readonly string[];
  readonly query?: URLSearchParams;
  readonly accept: string;
  /** Code for 404. Default NOT_FOUND. */
  readonly notFound?: ErrorCode;
}

export interface ArchiveResponse {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly header: (name: string) => string | undefined;
  /** The body; what it throws is a StainError already. Leaving it early closes the connection. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface JsonAnswer {
  readonly items: DicomJson[];
  /** That they came in. */
  readonly bytes: number;
  /** Whether the archive says that it has more of them (PS3.18 10.6.4, Warning 299). */
  readonly hasMore: boolean;
}

export interface UploadBody {
  readonly contentType: string;
  /** Exact; archives read a chunked upload slowly or not at all. */
  readonly byteLength: number;
  readonly stream: AsyncIterable<Uint8Array>;
}

const JSON_TYPES = ['application/dicom+json', 'application/json'] as const;
export const OTHER_JSON: OtherWays = {
  refusals: new Set([406, 415]),
  ways: ({ json }) => othersThan(JSON_TYPES, json).map((other) => ({ json: other })),
  lacks: `It gives data sets neither as ${JSON_TYPES.join(' nor as ')}.`,
};
const MAX_REDIRECTS = 3;
/** Of what an archive calls itself. */
const MAX_NAME = 100;
/** An answer to STOW names one instance; an error page is no longer than this. */
const MAX_ANSWER_BYTES = 1e6;

export class ArchiveConnection {
  readonly retries: RetryPolicy;
  readonly habits: ArchiveHabits;
  readonly #agent: Agent;
  readonly #root: URL;
  readonly #authorization: string | undefined;
  readonly #options: ConnectionOptions;
  readonly #storeTimeoutMs: number;

  constructor(options: ConnectionOptions) {
    const timeout = options.timeoutMs ?? 60_000;
    this.#options = options;
    this.habits = options.habits ?? new ArchiveHabits();
    this.#storeTimeoutMs = options.storeTimeoutMs ?? 300_000;
    this.retries = { maxRetries: options.maxRetries ?? 3, retryDelayMs: options.retryDelayMs ?? 500 };
    this.#root = parseRoot(options.url);
    this.#authorization = takeCredentials(this.#root);
    // HTTP/1.1: its flow control is the socket's, which is what a stream of the size of a slide wants.
    this.#agent = new Agent({
      connect: { timeout },
      headersTimeout: timeout,
      bodyTimeout: timeout,
      allowH2: false,
    });
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  /** GET without retries, for callers that take up a broken body themselves. */
  async getOnce(request: ArchiveRequest, signal: AbortSignal): Promise<ArchiveResponse> {
    const target = this.#target(request);
    const headers = await this.#headers({ accept: request.accept });
    let url = target;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#send({ method: 'GET', url, headers }, signal);
      const location = response.header('location');
      if (
        response.status >= 300 &&
        response.status < 400 &&
        location !== undefined &&
        redirects < MAX_REDIRECTS
      ) {
        await discard(response);
        url = sameOrigin(location, url);
        continue;
      }
      if (response.status >= 200 && response.status < 300) return response;
      await discard(response);
      throw statusFault(
        { status: response.status, retryAfter: response.header('retry-after') },
        { method: 'GET', path: target.pathname, notFound: request.notFound ?? 'NOT_FOUND' },
      );
    }
  }

  /**
   * A DICOM JSON array; none for 204 and for an empty body.
   * @throws PAYLOAD_TOO_LARGE above `maxBytes`, ARCHIVE_PROTOCOL for what is no JSON array
   */
  getJson(
    request: Omit<ArchiveRequest, 'accept'>,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<JsonAnswer> {
    const ask = async (accept: string): Promise<JsonAnswer> => {
      const response = await this.getOnce({ ...request, accept }, signal);
      const body = await collect(response.chunks, maxBytes);
      if (isMarkup(body)) throw webPageFault();
      const hasMore = /^\s*299\b.*additional results/i.test(response.header('warning') ?? '');
      return { items: body.length === 0 ? [] : parseDataSets(body), bytes: body.length, hasMore };
    };
    return this.habits.ask(({ json }) => withRetries(() => ask(json), this.retries, signal), OTHER_JSON);
  }

  /**
   * One POST, never repeated here. Statuses are left to the caller.
   * @returns the status and the text of the answer
   */
  async post(
    path: readonly string[],
    body: UploadBody,
    signal: AbortSignal,
  ): Promise<{ status: number; retryAfterMs: number | undefined; text: string }> {
    const url = this.#target({ path });
    const headers = await this.#headers({
      accept: this.habits.known.json,
      'content-type': body.contentType,
      'content-length': String(body.byteLength),
    });
    const upload = Readable.from(body.stream, { objectMode: false });
    // A body that cannot be read is our fault, not the archive's: it is thrown as it is.
    let unreadable: unknown;
    upload.on('error', (error) => (unreadable ??= error));
    try {
      const response = await this.#send(
        { method: 'POST', url, headers, body: upload, headersTimeout: this.#storeTimeoutMs },
        signal,
      );
      const answer = await collect(response.chunks, MAX_ANSWER_BYTES);
      return {
        status: response.status,
        retryAfterMs: parseRetryAfter(response.header('retry-after')),
        text: answer.toString('utf8'),
      };
    } catch (error) {
      if (unreadable instanceof StainError && !signal.aborted) throw unreadable;
      throw error;
    } finally {
      upload.destroy();
    }
  }

  #target({ path, query }: Pick<ArchiveRequest, 'path' | 'query'>): URL {
    // They would lead out of the DICOMweb root, and with them the headers.
    if (path.some((segment) => /^\.{0,2}$/.test(segment)))
      throw new StainError('REQUEST_INVALID', 'A UID is empty or a path.');
    const url = new URL(this.#root);
    // Lists of frames keep their commas, which a path may hold; not every archive reads `+` as a blank.
    url.pathname += path.map((segment) => encodeURIComponent(segment).replaceAll('%2C', ',')).join('/');
    if (query) url.search = query.toString().replaceAll('+', '%20');
    return url;
  }

  async #headers(own: Record<string, string>): Promise<Record<string, string>> {
    const { headers } = this.#options;
    const given = Object.entries((await (typeof headers === 'function' ? headers() : headers)) ?? {}).map(
      ([name, value]) => [name.toLowerCase(), value],
    );
    return {
      ...(this.#authorization ? { authorization: this.#authorization } : {}),
      ...Object.fromEntries(given),
      'accept-encoding': 'identity',
      ...own,
    };
  }

  async #send(
    {
      url,
      ...options
    }: {
      method: 'GET' | 'POST';
      url: URL;
      headers: Record<string, string>;
      body?: Readable;
      headersTimeout?: number;
    },
    signal: AbortSignal,
  ): Promise<ArchiveResponse> {
    const start = performance.now();
    const answered = (outcome: string): void =>
      this.#options.onAnswer?.(options.method, outcome, (performance.now() - start) / 1000);
    try {
      const answer = await this.#agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        signal,
        ...options,
      });
      answered(String(answer.statusCode));
      const header = (name: string): string | undefined => [answer.headers[name]].flat()[0];
      this.#hear(header('server'));
      const sent = chunksOf(answer.body, signal);
      const encoding = header('content-encoding') ?? 'identity';
      const isEncoded = encoding.toLowerCase() !== 'identity' && encoding !== '';
      return {
        status: answer.statusCode,
        contentType: header('content-type'),
        // The length is that of the compressed bytes.
        header: (name) => (isEncoded && name === 'content-length' ? undefined : header(name)),
        chunks: isEncoded ? decodeBody(sent, encoding) : sent,
      };
    } catch (thrown) {
      const error = connectionFault(thrown, 'request', signal);
      answered(error.code);
      throw error;
    }
  }

  #hear(name: string | undefined): void {
    const server = name?.replace(/[^ -~]/g, '').slice(0, MAX_NAME);
    if (server && this.habits.known.server === undefined) this.habits.learn({ server });
  }
}

async function* chunksOf(
  body: Dispatcher.ResponseData['body'],
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    throw connectionFault(error, 'body', signal);
  }
}

/** Reads an answer nobody wants to its end, so that its connection can be used again; a long one is cut off. */
async function discard({ chunks }: ArchiveResponse): Promise<void> {
  try {
    await collect(chunks, MAX_ANSWER_BYTES);
  } catch {
    // The status has been seen; how its text ends changes nothing.
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const held: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new StainError(
        'PAYLOAD_TOO_LARGE',
        `The archive answers with more than ${maxBytes} bytes of metadata.`,
        { data: { maxBytes } },
      );
    held.push(chunk);
  }
  return Buffer.concat(held);
}

function isMarkup(body: Buffer): boolean {
  return /^\ufeff?\s*<(!doctype|html)/i.test(body.toString('utf8', 0, 100));
}

/** With a slash at its end, without query. @throws CONFIGURATION_INVALID */
export function parseRoot(text: string): URL {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new StainError('CONFIGURATION_INVALID', 'The DICOMweb URL must be an http or https URL.');
  const url = new URL(text);
  url.search = '';
  url.hash = '';
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** Takes user and password out of the URL. @returns them as the value of Authorization */
export function takeCredentials(url: URL): string | undefined {
  if (url.username === '') return undefined;
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Headers may carry a token for this archive, so they never follow a redirect to another one. */
function sameOrigin(location: string, from: URL): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url?.origin !== from.origin)
    throw new StainError(
      'ARCHIVE_PROTOCOL',
      `The archive redirects to ${url?.origin ?? 'no address'}: set the DICOMweb URL to that host, unless it is that of a login page.`,
    );
  return url;
}
