/**
 * The JSON of an archive, with bounds on what it makes of memory: a parsed object takes up to 30 times the bytes it is
 * written with, so that a limit of bytes alone is none.
 */
import { StainError } from '../errors.ts';
import { type DicomJson, isDicomJsonArray } from './dicom-json.ts';

/**
 * 32 sequences, the limit of our readers: each is an attribute, its Value and an item. Around them a list and a data set,
 * within them an attribute, its Value and a person's name.
 */
const MAX_DEPTH = 3 * 32 + 5;
/** Objects and lists; the per-frame groups of 300,000 frames have as many. */
const MAX_CONTAINERS = 10_000_000;

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** Braces; brackets are the same but for this bit. */
const [OPENING, CLOSING, BRACKET_BIT] = [0x7b, 0x7d, 0x20];

/** A DICOM JSON array. @throws ARCHIVE_PROTOCOL */
export function parseDataSets(body: Buffer): DicomJson[] {
  requireModestJson(body);
  let value: unknown;
  try {
    // Leaves out the byte order mark that some archives send.
    value = JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    throw new StainError('ARCHIVE_PROTOCOL', 'The archive answered with malformed JSON.', { cause: error });
  }
  if (!isDicomJsonArray(value))
    throw new StainError('ARCHIVE_PROTOCOL', 'The archive answered with JSON that is no array of data sets.');
  return value;
}

/** Looks at the text before it is parsed; says nothing of whether it is JSON. */
function requireModestJson(text: Uint8Array): void {
  let depth = 0;
  let containers = 0;
  for (let at = 0; at < text.length; at++) {
    const byte = text[at]!;
    if (byte === QUOTE) {
      at = endOfString(text, at);
    } else if ((byte | BRACKET_BIT) === OPENING) {
      if (++depth > MAX_DEPTH) refuse('is nested too deeply');
      if (++containers > MAX_CONTAINERS) refuse(`holds more than ${MAX_CONTAINERS} objects and lists`);
    } else if ((byte | BRACKET_BIT) === CLOSING) {
      depth--;
    }
  }
}

/** Place of the quote that ends the string begun at `start`; the end of the text where there is none. */
function endOfString(text: Uint8Array, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== QUOTE) at += text[at] === BACKSLASH ? 2 : 1;
  return at;
}

function refuse(what: string): never {
  throw new StainError('ARCHIVE_PROTOCOL', `The JSON of the archive ${what}.`);
}
