/**
 * Text of errors as it may stand in a log. Messages of libraries hold what they were given: addresses with UIDs, keys of
 * rows, pieces of an archive's answer with the patient in them. What is about the fault itself stays.
 */

/** A message says in its beginning what is wrong. It also bounds the work of the patterns below, which are linear. */
const LONGEST = 16_384;

/** Of an address only host and port stay: they say where the fault is; the rest names studies, patients or tokens. */
const ADDRESSES = /\b(?:https?|wss?|postgres(?:ql)?):\/\/[^\s"'<>]*/gi;
const CREDENTIALS = /\b(Bearer|Basic)\s+[\w.~+/=-]+/gi;
/** PostgreSQL names the row: Key (workitem_uid)=(...). */
const ROWS = /\)=\([^\n]*/g;
/** Parsers quote what they could not read, quotes and line breaks in it as they are: so the first is paired with the last. */
const QUOTED = /".*"|".*$/gs;
const QUERIES = /\?[^\s"'<>=?]*=[^\s"'<>]*/g;
/** Person names of DICOM (PS3.5 section 6.2.1.1). */
const NAMES = /(?<![^\s"'()=^])[^\s"'()=^]*\^[^\s"'()=]*/g;
/**
 * UIDs, however they stand in an address: digits with two dots or more. Versions and IPv4 addresses look the same and go
 * too.
 */
const UIDS = /(?<!\d)\d+(?:(?:\.|%2e)\d+){2,}/gi;

/** Idempotent: what was scrubbed once is not changed again. */
export function scrub(text: string): string {
  return text
    .slice(0, LONGEST)
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
