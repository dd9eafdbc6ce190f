/** What the drivers of the database throw, told apart: it is away for now, it refuses us, or something else is wrong. */
import { StainError } from '../errors.ts';

/** Of Node's sockets and name resolution. */
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
 * SQLSTATE (PostgreSQL, appendix A): connection exceptions, insufficient resources (connections, memory, disk), operator
 * intervention (shutdown, start, a statement that took too long), system errors, a standby that takes nothing.
 */
const AWAY = /^(08|53|57P|58)\w+$|^57014$|^25006$/;

/** Invalid authorization, and a database that there is not. */
const REFUSED = /^28\w{3}$|^3D000$/;

/** What pg, its pool and PGlite say without a code. */
const AWAY_MESSAGE =
  /^(timeout exceeded when trying to connect|Connection terminated|Query read timeout|Cannot use a pool after calling end|Client (was closed|has encountered a connection error) and is not queryable|PGlite is (closed|closing)|Database not opened)/;

/** A password, role or database that is wrong: no waiting mends it. */
export function isRefused(thrown: unknown): boolean {
  return REFUSED.test(codeOf(thrown));
}

/** An absence as DATABASE_UNAVAILABLE, whose message names no address; anything else as it came. */
export function databaseFault(thrown: unknown): unknown {
  if (thrown instanceof StainError) return thrown;
  const code = codeOf(thrown);
  const isAway =
    NO_CONNECTION.has(code) ||
    AWAY.test(code) ||
    REFUSED.test(code) ||
    (thrown instanceof Error && AWAY_MESSAGE.test(thrown.message));
  return isAway
    ? databaseUnavailable(`The database cannot be reached (${code || 'closed'}).`, thrown)
    : thrown;
}

export function databaseUnavailable(message: string, cause?: unknown): StainError {
  return new StainError('DATABASE_UNAVAILABLE', message, cause === undefined ? {} : { cause });
}

/** pg-boss hands on copies of errors that are errors no more: they would reach the log without their message. */
export function asError(thrown: unknown): Error {
  if (thrown instanceof Error) return thrown;
  const { message, stack, code } = (thrown ?? {}) as Partial<NodeJS.ErrnoException>;
  const error = new Error(message ?? String(thrown));
  if (stack !== undefined) error.stack = stack;
  return Object.assign(error, code !== undefined && { code });
}

/** The first of several where several addresses were tried. */
function codeOf(thrown: unknown): string {
  const { code, errors } = (thrown ?? {}) as { code?: unknown; errors?: unknown[] };
  if (typeof code === 'string') return code;
  return Array.isArray(errors) && errors.length > 0 ? codeOf(errors[0]) : '';
}
