/**
 * Iterates over the braces and brackets of a JSON text as it streams, within limits on the memory that the parsed text
 * would need: a parsed object takes up to 30 times its bytes, so a byte limit alone is not enough. Does not validate
 * the JSON.
 */
import { StainError } from '../../../core/src/errors.ts';

/**
 * 32 sequences, the limit of our readers: each has an attribute, its Value and an item. Around them are an array and a
 * data set; inside are an attribute, its Value and a person's name.
 */
const MAX_DEPTH = 3 * 32 + 5;
/** Number of objects and arrays; enough for the per-frame functional groups of 300,000 frames. */
const MAX_CONTAINERS = 10_000_000;
/** Values and members behind a comma: each may be two bytes of the text, and takes eight of memory, or is parsed by itself. */
const MAX_COMMAS = 30_000_000;

const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
/** Braces; brackets differ from them only in this bit. */
const [OPENING, CLOSING, BRACKET_BIT] = [0x7b, 0x7d, 0x20];

/** `string` at its closing quote; `part` if the current text ends first. */
export type Met = 'open' | 'close' | 'comma' | 'string' | 'end';

export class JsonStructure {
  /** Nesting depth at the current position. */
  depth = 0;
  /** In the current text: behind the last token. */
  position = 0;
  /** Whether the last opened container is an object, not an array. */
  isObject = false;
  /** Start of the last string (its opening quote); negative if it lies in an earlier text. */
  stringStart = 0;
  #containers = 0;
  #commas = 0;
  #isString = false;
  #isEscaped = false;
  #text: Uint8Array = new Uint8Array(0);

  /** Sets the next part of the text; the previous one must have been read to its end. */
  read(text: Uint8Array): void {
    this.stringStart -= this.#text.length;
    this.#text = text;
    this.position = 0;
  }

  /** @throws ARCHIVE_PROTOCOL beyond the limits */
  next(): Met {
    const text = this.#text;
    if (this.#isString) return this.#string();
    while (this.position < text.length) {
      const byte = text[this.position++]!;
      if (byte === QUOTE) {
        this.stringStart = this.position - 1;
        return this.#string();
      }
      if (byte === COMMA) {
        if (++this.#commas > MAX_COMMAS) refuse(`holds more than ${MAX_COMMAS} values`);
        return 'comma';
      }
      if ((byte | BRACKET_BIT) === OPENING) {
        if (++this.depth > MAX_DEPTH) refuse('is nested too deeply');
        if (++this.#containers > MAX_CONTAINERS)
          refuse(`contains more than ${MAX_CONTAINERS} objects and arrays`);
        this.isObject = byte === OPENING;
        return 'open';
      }
      if ((byte | BRACKET_BIT) === CLOSING) {
        this.depth--;
        return 'close';
      }
    }
    return 'end';
  }

  #string(): Met {
    const text = this.#text;
    let at = this.position;
    this.#isString = true;
    for (; at < text.length; at++) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (text[at] === BACKSLASH) this.#isEscaped = true;
      else if (text[at] === QUOTE) {
        this.#isString = false;
        this.position = at + 1;
        return 'string';
      }
    }
    this.position = at;
    return 'end';
  }
}

function refuse(what: string): never {
  throw new StainError('ARCHIVE_PROTOCOL', `The JSON of the archive ${what}.`);
}
