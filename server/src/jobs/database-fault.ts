/**
 * Classifies what the database drivers throw: the database is away for now, it refuses us, or something else is wrong.
 */
import { StainError } from '../../../core/src/errors.ts';
import { isCertificateFault } from '../tls.ts';

/** Error codes of Node's sockets and name resolution. */
const NO_CONNECTION = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/**
 * SQLSTATE (PostgreSQL, appendix A): connection exceptions, insufficient resources (connections, memory, disk),
 * operator intervention (shutdown, startup, statement timeout), system errors, and a read-only standby.
 */
const AWAY = /^(08|53|57P|58)\w+$|^57014$|^25006$/;

/** Invalid authorization, or a database that does not exist. */
const REFUSED = /^28\w{3}$|^3D000$/;

/** In words, for those that a setting or a grant mends. */
const REASONS: readonly (readonly [codes: RegExp, reason: string])[] = [
  [/^28/, 'the database refuses the role or its password'],
  [/^3D000$/, 'the server has no such database'],
  [/^42501$/, 'the role may not create schemas in its database'],
];

/** Messages of errors that pg, its pool and PGlite throw without a code. */
const AWAY_MESSAGE =
  /^(timeout exceeded when trying to connect|Connection terminated|Query read timeout|Cannot use a pool after calling end|Client (was closed|has encountered a connection error) and is not queryable|PGlite is (closed|closing)|Database not opened)/;

/** What pg throws, without a code, when sslmode asks for TLS and the server has none. */
const NO_TLS = 'The server does not support SSL connections';

/** A wrong password, role or database, or a server that is not trusted: waiting does not help. */
export function isRefused(thrown: unknown): boolean {
  const code = codeOf(thrown);
  return REFUSED.test(code) || isCertificateFault(code) || hasNoTls(thrown);
}

/** Why the database cannot be opened, without its address. */
export function whyUnusable(cause: unknown): string {
  const code = codeOf(cause) || (cause as Error).name;
  if (isCertificateFault(code))
    return `the certificate of the database is not accepted (${code}): name its CA in the URL (sslrootcert) or in the file of NODE_EXTRA_CA_CERTS.`;
  if (hasNoTls(cause)) return 'sslmode asks for TLS, which the database does not support.';
  return `${REASONS.find(([codes]) => codes.test(code))?.[1] ?? 'the database cannot be opened'} (${code}).`;
}

function hasNoTls(thrown: unknown): boolean {
  return thrown instanceof Error && thrown.message.startsWith(NO_TLS);
}

/**
 * Turns an outage into DATABASE_UNAVAILABLE, whose message contains no address, and returns anything else unchanged.
 */
export function databaseFault(thrown: unknown): unknown {
  if (thrown instanceof StainError) return thrown;
  const code = codeOf(thrown);
  const isAway =
    NO_CONNECTION.has(code) ||
    AWAY.test(code) ||
    isRefused(thrown) ||
    (thrown instanceof Error && AWAY_MESSAGE.test(thrown.message));
  return isAway
    ? databaseUnavailable(`The database cannot be reached (${code || 'closed'}).`, thrown)
    : thrown;
}

export function databaseUnavailable(message: string, cause?: unknown): StainError {
  return new StainError('DATABASE_UNAVAILABLE', message, cause === undefined ? {} : { cause });
}

/** pg-boss passes on copies of errors that are not Error objects: they would be logged without their message. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  const { message, stack, code } = (thrown ?? {}) as Partial<NodeJS.ErrnoException>;
  const error = new Error(message ?? String(thrown));
  if (stack !== undefined) error.stack = stack;
  return Object.assign(error, code !== undefined && { code });
}

/** If several addresses were tried, the code of the first. */
function codeOf(thrown: unknown): string {
  const { code, errors } = (thrown ?? {}) as { code?: unknown; errors?: unknown[] };
  if (typeof code === 'string') return code;
  return Array.isArray(errors) && errors.length > 0 ? codeOf(errors[0]) : '';
}
