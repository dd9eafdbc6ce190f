/** Requests to one archive: headers, time limits, redirects, errors, and retries of what is safe to repeat. */
import { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { type ErrorCode, StainError } from '../../../core/src/errors.ts';
import type { DicomJson } from '../dicom/json-model.ts';
import { archiveAgent, type Reach } from './archive-agent.ts';
import { ArchiveHabits, type OtherWays, othersThan } from './archive-habits.ts';
import { decodeBody } from './decode-body.ts';
import { connectionFault, contentFault, statusFault, webPageFault } from './faults.ts';
import { parseDataSets, StreamedDataSets } from './parse-json.ts';
import { queryText } from './query-text.ts';
import { parseRetryAfter, type RetryPolicy, withRetries } from './retry.ts';

export interface ConnectionOptions extends Reach {
  /** Root of the DICOMweb service; a user and password in it become an Authorization header. */
  readonly url: string;
  /** Headers of every request; a function is called for each request, so that tokens stay fresh. */
  readonly headers?:
    | Record<string, string>
    | (() => Promise<Record<string, string>> | Record<string, string>);
  /** Idle timeout: for the connection, until the response headers, and between bytes of the body. Default 60 s. */
  readonly timeoutMs?: number;
  /** Idle timeout while the archive works on a STOW request. Default 5 minutes. */
  readonly storeTimeoutMs?: number;
  /** Number of retries of what may be repeated. Default 3. */
  readonly maxRetries?: number;
  /** Longest delay before the first retry. Default 500 ms. */
  readonly retryDelayMs?: number;
  /** Called after every request with the status or error code, and the seconds until the response headers. */
  readonly onAnswer?: ((method: string, outcome: string, seconds: number) => void) | undefined;
  /** Shared if several connections go to one archive: what one learns, the others know. */
  readonly habits?: ArchiveHabits;
}

export interface ArchiveRequest {
  /** Path segments below the root. */
  readonly path: readonly string[];
  readonly query?: URLSearchParams;
  readonly accept: string;
  /** Error code for 404. Default NOT_FOUND. */
  readonly notFound?: ErrorCode;
}

export interface ArchiveResponse {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly header: (name: string) => string | undefined;
  /** What a 401 asks for (RFC 9110 section 11.6.1). */
  readonly challenges: string;
  /** The body; its errors are already StainErrors. Leaving it early closes the connection. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

export interface JsonAnswer {
  readonly items: DicomJson[];
  /** Size of the response. */
  readonly bytes: number;
  /** Whether the archive says that there are more results (PS3.18 10.6.4, Warning 299). */
  readonly hasMore: boolean;
}

export interface UploadBody {
  readonly contentType: string;
  /** Exact length; archives read a chunked upload slowly or not at all. */
  readonly byteLength: number;
  readonly stream: AsyncIterable<Uint8Array>;
}

const JSON_TYPES = ['application/dicom+json', 'application/json'] as const;
export const OTHER_JSON: OtherWays = {
  refusals: new Set([406, 415]),
  ways: ({ json }) => othersThan(JSON_TYPES, json).map((other) => ({ json: other })),
  lacks: `It returns data sets neither as ${JSON_TYPES.join(' nor as ')}.`,
};
const MAX_REDIRECTS = 3;
/** A web page identifies itself within these first bytes. */
const MARKUP_BYTES = 100;
/** Longest server name that is kept. */
const MAX_NAME = 100;
/** A response to STOW names one instance, and an error page is not longer than this. */
const MAX_ANSWER_BYTES = 1e6;

export class ArchiveConnection {
  readonly retries: RetryPolicy;
  readonly habits: ArchiveHabits;
  readonly #agent: Dispatcher;
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
    const { tls, proxy, maxConnections } = options;
    this.#agent = archiveAgent({
      tls,
      proxy,
      maxConnections,
      connectMs: timeout,
      headersTimeout: timeout,
      bodyTimeout: timeout,
    });
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  /** GET without retries, for callers that resume a broken body themselves. */
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
      const told = await discard(response);
      throw (
        contentFault(response, told) ??
        statusFault(
          {
            status: response.status,
            retryAfter: response.header('retry-after'),
            challenges: response.challenges,
          },
          { method: 'GET', path: target.pathname, notFound: request.notFound ?? 'NOT_FOUND' },
        )
      );
    }
  }

  /**
   * A DICOM JSON array; empty for 204 and for an empty body.
   * @throws PAYLOAD_TOO_LARGE above `maxBytes`, ARCHIVE_PROTOCOL if it is not a JSON array
   */
  getJson(
    request: Omit<ArchiveRequest, 'accept'>,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<JsonAnswer> {
    return this.#askJson(request, signal, async ({ chunks, header }) => {
      const body = await collect(chunks, maxBytes);
      if (isMarkup(body)) throw webPageFault();
      const hasMore = /^\s*299\b.*additional results/i.test(header('warning') ?? '');
      return { items: body.length === 0 ? [] : parseDataSets(body), bytes: body.length, hasMore };
    });
  }

  /**
   * Same as `getJson`, for metadata, in which one attribute may have very many values.
   * @throws like `getJson`; later, when a value of such an attribute is read, ARCHIVE_PROTOCOL if it is malformed
   */
  getDataSets(
    request: Omit<ArchiveRequest, 'accept'>,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<{ readonly items: DicomJson[]; readonly bytes: number }> {
    return this.#askJson(request, signal, async ({ chunks }) => {
      const dataSets = new StreamedDataSets();
      let bytes = 0;
      try {
        for await (const chunk of limited(chunks, maxBytes)) {
          bytes += chunk.length;
          dataSets.write(chunk);
        }
        return { items: dataSets.end(), bytes };
      } catch (error) {
        throw isMarkup(dataSets.beginning(MARKUP_BYTES)) ? webPageFault() : error;
      }
    });
  }

  #askJson<T>(
    request: Omit<ArchiveRequest, 'accept'>,
    signal: AbortSignal,
    read: (response: ArchiveResponse) => Promise<T>,
  ): Promise<T> {
    const ask = async (accept: string): Promise<T> =>
      read(await this.getOnce({ ...request, accept }, signal));
    return this.habits.ask(({ json }) => withRetries(() => ask(json), this.retries, signal), OTHER_JSON);
  }

  /**
   * One POST, never repeated here. The caller handles the status.
   * @returns the status and the text of the response
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
    // If reading the body fails, that is our fault, not the archive's: the error is thrown as it is.
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
    // Such segments would lead out of the DICOMweb root, and take the headers along.
    if (path.some((segment) => /^\.{0,2}$/.test(segment)))
      throw new StainError('REQUEST_INVALID', 'A UID is empty or contains a path.');
    const url = new URL(this.#root);
    // Commas in lists of frames stay as they are, which is valid in a path.
    url.pathname += path.map((segment) => encodeURIComponent(segment).replaceAll('%2C', ',')).join('/');
    if (query) url.search = queryText(query);
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
        // URL encodes the apostrophe, which need not be.
        path: url.pathname + url.search.replaceAll('%27', "'"),
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
        challenges: [answer.headers['www-authenticate'] ?? []].flat().join(', '),
        // Content-Length counts the compressed bytes.
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

/** Reads an unwanted response to its end, so that the connection can be reused; a long one is cut off. */
async function discard({ chunks }: ArchiveResponse): Promise<Uint8Array> {
  try {
    return await collect(chunks, MAX_ANSWER_BYTES);
  } catch {
    // The status is known; how the text ends does not matter.
    return new Uint8Array(0);
  }
}

async function collect(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer> {
  const held: Uint8Array[] = [];
  for await (const chunk of limited(chunks, maxBytes)) held.push(chunk);
  return Buffer.concat(held);
}

async function* limited(chunks: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new StainError(
        'PAYLOAD_TOO_LARGE',
        `The archive answered with more than ${maxBytes} bytes of metadata.`,
        { data: { maxBytes } },
      );
    yield chunk;
  }
}

function isMarkup(body: Buffer): boolean {
  return /^\ufeff?\s*<(!doctype|html)/i.test(body.toString('utf8', 0, MARKUP_BYTES));
}

/** With a trailing slash. @throws CONFIGURATION_INVALID for a URL that paths cannot be appended to */
export function parseRoot(text: string): URL {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol))
    throw new StainError('CONFIGURATION_INVALID', 'The DICOMweb URL must be an http or https URL.');
  const url = new URL(text);
  if (/[?#]/.test(text))
    throw new StainError('CONFIGURATION_INVALID', 'The DICOMweb URL must have no query and no fragment.');
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** Removes user and password from the URL. @returns them as an Authorization header value */
export function takeCredentials(url: URL): string | undefined {
  if (url.username === '') return undefined;
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/** Headers may carry a token for this archive, so they never follow a redirect to a different one. */
function sameOrigin(location: string, from: URL): URL {
  const url = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (url?.origin !== from.origin)
    throw new StainError(
      'ARCHIVE_PROTOCOL',
      `The archive redirects to ${url?.origin ?? 'no address'}: set the DICOMweb URL to that host, unless it serves a login page.`,
    );
  return url;
}
