/** Maps errors of undici and responses of archives to the codes of the error table. */
import { type ErrorCode, isOfContent, StainError, toStainError } from '../../../core/src/errors.ts';
import { codeOf, isCertificateFault, isTlsFault } from '../tls.ts';
import { parseMediaType } from './media-type.ts';
import { parseRetryAfter } from './retry.ts';

/** When the fault happened: before any byte of the response, or while its body was read. */
export type Phase = 'request' | 'body';

/** Statuses that mean "later": the request itself was fine. */
const RETRYABLE_STATUSES = new Set([429, 502, 503, 504]);

/** Turns a connection failure into a StainError; errors that already have a code, and aborts, stay as they are. */
export function connectionFault(thrown: unknown, phase: Phase, signal: AbortSignal): StainError {
  if (signal.aborted) return toStainError(signal.reason);
  if (thrown instanceof StainError) return thrown;
  const code = codeOf(thrown);
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_CONNECT_TIMEOUT')
    return new StainError('ARCHIVE_TIMEOUT', 'The archive did not answer in time.', {
      cause: thrown,
      data: { cause: code },
    });
  if (code === 'UND_ERR_BODY_TIMEOUT')
    return new StainError('ARCHIVE_TIMEOUT', 'The archive stopped sending halfway.', {
      cause: thrown,
      data: { cause: code },
      retry: {},
    });
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || code.startsWith('HPE_'))
    return new StainError('ARCHIVE_PROTOCOL', 'The archive does not answer in HTTP/1.1.', {
      cause: thrown,
      data: { cause: code },
    });
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED')
    return new StainError('CANCELLED', 'The connection to the archive was closed by this service.', {
      cause: thrown,
    });
  if (isCertificateFault(code))
    return new StainError('ARCHIVE_UNTRUSTED', `The certificate of the archive is not accepted (${code}).`, {
      cause: thrown,
      data: { cause: code },
    });
  if (isTlsFault(code))
    return new StainError('ARCHIVE_TLS_FAILED', `The archive does not accept the TLS connection (${code}).`, {
      cause: thrown,
      data: { cause: code },
    });
  if (phase === 'body')
    return new StainError('ARCHIVE_TRUNCATED', `The archive closed the connection halfway (${code}).`, {
      cause: thrown,
      data: { cause: code },
      retry: {},
    });
  return new StainError('ARCHIVE_UNREACHABLE', `The archive cannot be reached (${code}).`, {
    cause: thrown,
    data: { cause: code },
    retry: {},
  });
}

/**
 * Turns an unsuccessful response into a StainError. `path` excludes the query: queries and headers may carry tokens.
 */
export function statusFault(
  answer: {
    readonly status: number;
    readonly retryAfter: string | undefined;
    readonly challenges?: string;
  },
  request: { readonly method: string; readonly path: string; readonly notFound: ErrorCode },
): StainError {
  const { status } = answer;
  return new StainError(
    statusCode(status, request.notFound),
    // 507: Insufficient Storage (RFC 4918 11.5), of a folder too whose disk is full.
    `${status === 507 ? 'The archive has no room left: it' : 'The archive'} answered ${status} to ${request.method} ${request.path}.`,
    {
      data: { status, ...(answer.challenges && { schemes: schemesOf(answer.challenges) }) },
      retry: RETRYABLE_STATUSES.has(status) ? { afterMs: parseRetryAfter(answer.retryAfter) } : undefined,
    },
  );
}

/** Longest sentence that is taken over. */
const MAX_DETAIL = 1000;

/**
 * What an archive of this product says is wrong with a slide, in its own words; undefined for any other answer.
 * @param body of the response (RFC 9457)
 */
export function contentFault(
  { status, contentType }: { readonly status: number; readonly contentType: string | undefined },
  body: Uint8Array,
): StainError | undefined {
  if (status !== 422 || parseMediaType(contentType ?? '').essence !== 'application/problem+json')
    return undefined;
  try {
    const { code, detail } = JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>;
    if (typeof code !== 'string' || typeof detail !== 'string' || !isOfContent(code)) return undefined;
    return new StainError(code, detail.slice(0, MAX_DETAIL), { data: { status } });
  } catch {
    return undefined;
  }
}

/** Names of authentication schemes: words before their first parameter, or alone. */
function schemesOf(challenges: string): string[] {
  const names = challenges.matchAll(/(?:^|,\s*)([a-z][\w-]*)(?=\s+[\w-]+\s*=|\s*(?:,|$))/gi);
  return [...new Set([...names].map(([, name]) => name!.toLowerCase()))];
}

export function isWebPage(contentType: string | undefined): boolean {
  return /^(text\/html|application\/xhtml\+xml)$/.test(parseMediaType(contentType ?? '').essence);
}

/** A web page instead of data: usually the login of a proxy in front of the archive. */
export function webPageFault(): StainError {
  return new StainError(
    'ARCHIVE_PROTOCOL',
    'The answer is a web page (HTML) instead of data: either a login page in front of the archive, or a URL that is not its DICOMweb root.',
  );
}

function statusCode(status: number, notFound: ErrorCode): ErrorCode {
  if (status >= 500 || status === 429) return 'ARCHIVE_ERROR';
  if (status === 404 || status === 410) return notFound;
  if (status === 413) return 'PAYLOAD_TOO_LARGE';
  if (status >= 400) return 'ARCHIVE_REFUSED';
  return 'ARCHIVE_PROTOCOL';
}
