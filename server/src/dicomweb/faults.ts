/** Maps what undici throws and what archives answer to the codes of the error table. */
import { type ErrorCode, StainError, toStainError } from '../errors.ts';
import { parseMediaType } from './media-type.ts';
import { parseRetryAfter, passing } from './retry.ts';

/** When it happened: before any byte of the answer, or while its body was read. */
export type Phase = 'request' | 'body';

/** Statuses that say "later": the request itself was fine. */
const PASSING_STATUSES = new Set([429, 502, 503, 504]);

/** A failure of the connection as a StainError; one that has a code already, and an abort, stay what they are. */
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
    return passing(
      new StainError('ARCHIVE_TIMEOUT', 'The archive stopped sending half-way.', {
        cause: thrown,
        data: { cause: code },
      }),
    );
  if (code === 'UND_ERR_HEADERS_OVERFLOW' || code.startsWith('HPE_'))
    return new StainError('ARCHIVE_PROTOCOL', 'The archive does not answer in HTTP/1.1.', {
      cause: thrown,
      data: { cause: code },
    });
  if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED')
    return new StainError('CANCELLED', 'The connection to the archive was closed by this side.', {
      cause: thrown,
    });
  if (phase === 'body')
    return passing(
      new StainError('ARCHIVE_TRUNCATED', `The archive closed the connection half-way (${code}).`, {
        cause: thrown,
        data: { cause: code },
      }),
    );
  const unreachable = new StainError(
    'ARCHIVE_UNREACHABLE',
    `There is no connection to the archive (${code}).`,
    { cause: thrown, data: { cause: code } },
  );
  return isCertificateFault(code) ? unreachable : passing(unreachable);
}

/** An answer that is no success as a StainError. `path` holds no query: queries and headers may carry tokens. */
export function statusFault(
  answer: { readonly status: number; readonly retryAfter: string | undefined },
  request: { readonly method: string; readonly path: string; readonly notFound: ErrorCode },
): StainError {
  const { status } = answer;
  const error = new StainError(
    statusCode(status, request.notFound),
    `The archive answered ${status} to ${request.method} ${request.path}.`,
    { data: { status } },
  );
  return PASSING_STATUSES.has(status) ? passing(error, parseRetryAfter(answer.retryAfter)) : error;
}

export function isWebPage(contentType: string | undefined): boolean {
  return /^(text\/html|application\/xhtml\+xml)$/.test(parseMediaType(contentType ?? '').essence);
}

/** A page for people where data were asked for: mostly a login that a proxy has put before the archive. */
export function webPageFault(): StainError {
  return new StainError(
    'ARCHIVE_PROTOCOL',
    'A web page (HTML) came in place of data: a login page before the archive, or an address that is not its DICOMweb root.',
  );
}

function statusCode(status: number, notFound: ErrorCode): ErrorCode {
  if (status >= 500 || status === 429) return 'ARCHIVE_ERROR';
  if (status === 404 || status === 410) return notFound;
  if (status === 413) return 'PAYLOAD_TOO_LARGE';
  if (status >= 400) return 'ARCHIVE_REFUSED';
  return 'ARCHIVE_PROTOCOL';
}

function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'unknown';
  const { code } = thrown as NodeJS.ErrnoException;
  if (code) return code;
  // undici wraps; an AggregateError holds one error for each address that was tried.
  const inner = thrown.cause ?? (thrown as AggregateError).errors?.[0];
  return inner === undefined ? thrown.name : codeOf(inner);
}

function isCertificateFault(code: string): boolean {
  return /CERT|TLS|SSL|SELF_SIGNED|ALTNAME/.test(code);
}
