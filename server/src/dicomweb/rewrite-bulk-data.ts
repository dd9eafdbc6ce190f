/**
 * Replaces the URLs of bulk data in DICOM JSON (PS3.18 F.2.6) as it streams through. Metadata of a slide may have
 * hundreds of megabytes, so only strings are parsed and only the current member is buffered; all other bytes pass
 * unchanged.
 */
import { StainError } from '../../../core/src/errors.ts';

/** @returns the replacement of the URL; undefined if it is to be removed */
export type ReplaceAddress = (address: string) => string | undefined;

const KEY = 'BulkDataURI';
/** Length of `"BulkDataURI"` with every character escaped. */
const MAX_KEY_BYTES = KEY.length * 6 + 2;
/** Maximum length of a member from its comma to the end of its value. */
const MAX_MEMBER_BYTES = 16_384;

const [QUOTE, BACKSLASH, COLON, COMMA, BRACE] = [0x22, 0x5c, 0x3a, 0x2c, 0x7b];
const BLANKS = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Parser state. From `member` on, bytes are held back. `member` follows a comma or a brace, `key` and `address` are
 * inside strings, `colon` and `value` come before the next token, and `comma` after a first member that was removed.
 */
type State = 'outside' | 'string' | 'member' | 'key' | 'colon' | 'value' | 'address' | 'comma';

/**
 * @param chunks of a JSON text in UTF-8
 * @throws ARCHIVE_PROTOCOL if a URL is not a string, or is too long
 */
export async function* rewriteBulkData(
  chunks: AsyncIterable<Buffer>,
  replace: ReplaceAddress,
): AsyncGenerator<Buffer> {
  const rewriter = new Rewriter(replace);
  for await (const chunk of chunks) yield rewriter.write(chunk);
  yield rewriter.end();
}

class Rewriter {
  readonly #replace: ReplaceAddress;
  #state: State = 'outside';
  #isEscaped = false;
  /** Whether the held member follows a brace: then the comma to remove with it comes after it. */
  #isFirst = false;
  /** The bytes held back, up to the end of the last chunk. */
  #held: Buffer = Buffer.alloc(0);
  /** Where the held bytes begin in the current bytes; and the start and end of the last string in them. */
  #hold = 0;
  #text = 0;
  #textEnd = 0;

  constructor(replace: ReplaceAddress) {
    this.#replace = replace;
  }

  write(chunk: Buffer): Buffer {
    const bytes = this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk;
    const out: Buffer[] = [];
    /** Everything before this was sent or dropped. */
    let from = 0;
    for (let i = this.#held.length; i < bytes.length; i++) {
      const byte = bytes[i]!;
      switch (this.#state) {
        case 'string':
        case 'key':
        case 'address':
          if (this.#isEscaped) this.#isEscaped = false;
          else if (byte === BACKSLASH) this.#isEscaped = true;
          else if (byte === QUOTE) from = this.#endString(bytes, i + 1, from, out);
          else if (this.#state === 'key' && i - this.#text > MAX_KEY_BYTES) this.#state = 'string';
          break;
        case 'colon':
          if (BLANKS.has(byte)) break;
          if (byte === COLON && isKey(bytes.subarray(this.#text, this.#textEnd))) this.#state = 'value';
          else this.#outside(byte, i);
          break;
        case 'value':
          if (BLANKS.has(byte)) break;
          if (byte !== QUOTE) throw malformed('is not a string');
          this.#begin('address', i);
          break;
        case 'member':
          if (BLANKS.has(byte)) break;
          if (byte === QUOTE) this.#begin('key', i);
          else this.#outside(byte, i);
          break;
        case 'comma':
          if (BLANKS.has(byte)) break;
          // What followed the brace was removed, so the next member follows the brace.
          if (byte === COMMA) {
            out.push(bytes.subarray(from, i));
            from = i + 1;
            this.#state = 'member';
            this.#hold = i + 1;
            this.#isFirst = true;
          } else this.#outside(byte, i);
          break;
        case 'outside':
          this.#outside(byte, i);
      }
      if (this.#isHolding && i - this.#hold > MAX_MEMBER_BYTES) throw malformed('is too long');
    }
    const end = this.#isHolding ? this.#hold : bytes.length;
    out.push(bytes.subarray(from, end));
    this.#held = bytes.subarray(end);
    this.#text -= end;
    this.#textEnd -= end;
    this.#hold = 0;
    return Buffer.concat(out);
  }

  /** The rest of a text that ends within a member. */
  end(): Buffer {
    return this.#held;
  }

  get #isHolding(): boolean {
    return this.#state !== 'outside' && this.#state !== 'string' && this.#state !== 'comma';
  }

  #begin(state: State, at: number): void {
    this.#state = state;
    this.#text = at;
  }

  /** A byte between tokens; the held bytes pass with it. */
  #outside(byte: number, at: number): void {
    this.#state = 'outside';
    if (byte === QUOTE) this.#state = 'string';
    else if (byte === COMMA || byte === BRACE) {
      this.#state = 'member';
      this.#isFirst = byte === BRACE;
      this.#hold = byte === BRACE ? at + 1 : at;
    }
  }

  /** @param end after the closing quote @returns the new `from` */
  #endString(bytes: Buffer, end: number, from: number, out: Buffer[]): number {
    const state = this.#state;
    this.#textEnd = end;
    this.#state = state === 'key' ? 'colon' : 'outside';
    if (state !== 'address') return from;
    const address = this.#replace(textOf(bytes.subarray(this.#text, end)));
    if (address !== undefined) {
      out.push(bytes.subarray(from, this.#text), Buffer.from(JSON.stringify(address)));
      return end;
    }
    out.push(bytes.subarray(from, this.#hold));
    if (this.#isFirst) this.#state = 'comma';
    return end;
  }
}

/** @param text of a string, including its quotes */
function isKey(text: Buffer): boolean {
  return text.length <= MAX_KEY_BYTES && textOf(text) === KEY;
}

function textOf(text: Buffer): string {
  try {
    return JSON.parse(text.toString('utf8')) as string;
  } catch (cause) {
    throw malformed('is not valid JSON', cause);
  }
}

function malformed(why: string, cause?: unknown): StainError {
  return new StainError('ARCHIVE_PROTOCOL', `A URL in the answer of the archive ${why}.`, { cause });
}
