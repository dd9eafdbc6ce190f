/**
 * Text of a jsonb value. PostgreSQL has neither NUL nor lone surrogates in text; headers, and what is said about them, may
 * have both, and a value that cannot be written would be tried again for ever.
 */
export function toJsonb(value: unknown): string {
  return JSON.stringify(value, (_key, one) =>
    typeof one === 'string' ? one.replaceAll('\0', '').toWellFormed() : one,
  );
}
