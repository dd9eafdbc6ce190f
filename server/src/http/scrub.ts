/**
 * Makes the text of errors fit for a log. Messages of libraries contain what they were given: URLs with UIDs, keys of
 * rows, pieces of an archive's response with the patient in them. Whatever describes the fault itself stays.
 */

/** The beginning of a message says what is wrong. This also bounds the work of the patterns below, which are linear. */
const MAX_LENGTH = 16_384;

/** Only host and port of a URL stay: they tell where the fault is; the rest names studies, patients or tokens. */
const ADDRESSES = /\b(?:https?|wss?|postgres(?:ql)?):\/\/[^\s"'<>]*/gi;
const CREDENTIALS = /\b(Bearer|Basic)\s+[\w.~+/=-]+/gi;
/** PostgreSQL quotes the row: Key (workitem_uid)=(...). */
const ROWS = /\)=\([^\n]*/g;
/**
 * Parsers quote what they could not read, including its own quotes and line breaks: so match from the first quote to
 * the last.
 */
const QUOTED = /".*"|".*$/gs;
const QUERIES = /\?[^\s"'<>=?]*=[^\s"'<>]*/g;
/** Person names in DICOM (PS3.5 section 6.2.1.1). */
const NAMES = /(?<![^\s"'()=^])[^\s"'()=^]*\^[^\s"'()=]*/g;
/**
 * UIDs, however they are written in a URL: digits with two or more dots. Versions and IPv4 addresses look the same and
 * are removed too.
 */
const UIDS = /(?<!\d)\d+(?:(?:\.|%2e)\d+){2,}/gi;

/** Idempotent: scrubbed text does not change again. */
export function scrub(text: string): string {
  return text
    .slice(0, MAX_LENGTH)
    .replace(ADDRESSES, withHostOnly)
    .replace(CREDENTIALS, '$1 [redacted]')
    .replace(ROWS, ')=([redacted])')
    .replace(QUOTED, '"[redacted]"')
    .replace(QUERIES, '?[redacted]')
    .replace(NAMES, '[redacted]')
    .replace(UIDS, '[redacted]');
}

function withHostOnly(address: string): string {
  const url = URL.parse(address);
  return url ? `${url.protocol}//${url.host}/[redacted]` : '[redacted]';
}
