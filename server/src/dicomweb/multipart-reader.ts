/**
 * A streaming reader of multipart bodies (RFC 2046 section 5.1).
 *
 * Memory: one chunk of the source and the header of one part; bodies are passed on as views of the source's chunks.
 * Invariant: `#held` always starts right behind the bytes that were passed on. A chunk is passed on except for the last
 * bytes that might begin a delimiter.
 */
import { type ErrorCode, StainError } from '../../../core/src/errors.ts';
import { parseMediaType } from './media-type.ts';

export interface MultipartPart {
  /** Header fields by lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  /** Read it before requesting the next part; any rest is skipped then. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface MultipartLimits {
  readonly maxParts: number;
  /** Largest header of a part in bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number;
}

/** Error codes to throw: client and server use different codes for the same fault. */
export interface MultipartFaults {
  readonly malformed: ErrorCode;
  readonly truncated: ErrorCode;
}

const CLIENT_FAULTS: MultipartFaults = { malformed: 'ARCHIVE_PROTOCOL', truncated: 'ARCHIVE_TRUNCATED' };
const MAX_BOUNDARY = 256;
/** Text before the first delimiter and after the last one is ignored, up to this limit. */
const MAX_IGNORED_BYTES = 64 * 1024;
const CRLF = Buffer.from('\r\n');
const HEADER_END = Buffer.from('\r\n\r\n');

/**
 * Boundary of a multipart/related content type.
 * @throws `faults.malformed` if it is not multipart/related or has no usable boundary
 */
export function boundaryOf(contentType: string | undefined, faults = CLIENT_FAULTS): string {
  const { essence, parameters } = parseMediaType(contentType ?? '');
  if (essence !== 'multipart/related')
    throw new StainError(
      faults.malformed,
      `Expected multipart/related, got ${essence.slice(0, 100) || 'no content type'}.`,
    );
  const boundary = parameters.get('boundary') ?? '';
  // RFC 2046 allows 70 characters; archives send more. Control characters would let a delimiter span lines.
  if (boundary === '' || boundary.length > MAX_BOUNDARY || !/^[\x20-\x7e]+$/.test(boundary))
    throw new StainError(faults.malformed, 'The multipart content type has no usable boundary.');
  return boundary;
}

/**
 * Parts of a multipart body, in order.
 * @throws `faults.malformed` for a body that violates the format or a limit, `faults.truncated` for one that ends
 * before its closing delimiter, and whatever the source throws
 */
export async function* readMultipart(
  source: AsyncIterable<Uint8Array>,
  boundary: string,
  limits: MultipartLimits,
  faults = CLIENT_FAULTS,
): AsyncGenerator<MultipartPart> {
  const reader = new MultipartReader(source, boundary, limits, faults);
  try {
    await reader.skipPreamble();
    for (let parts = 0; await reader.atPart(); parts++) {
      if (parts >= limits.maxParts)
        throw new StainError(faults.malformed, `The multipart body has more than ${limits.maxParts} parts.`);
      yield { headers: await reader.header(), body: reader.body() };
      await reader.skipBody();
    }
    await reader.skipEpilogue();
  } finally {
    await reader.close();
  }
}

class MultipartReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #delimiter: Buffer;
  readonly #maxHeaderBytes: number;
  readonly #faults: MultipartFaults;
  // The first delimiter needs no line break before it; adding one makes it like all others.
  #held: Buffer = CRLF;
  #inBody = false;
  /** The line break that ends the header is still to be skipped. */
  #bodyStarts = false;

  constructor(
    source: AsyncIterable<Uint8Array>,
    boundary: string,
    limits: MultipartLimits,
    faults: MultipartFaults,
  ) {
    this.#source = source[Symbol.asyncIterator]();
    this.#delimiter = Buffer.from(`\r\n--${boundary}`, 'latin1');
    this.#maxHeaderBytes = limits.maxHeaderBytes ?? 16 * 1024;
    this.#faults = faults;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async skipPreamble(): Promise<void> {
    this.#inBody = true;
    let ignored = 0;
    for (let chunk = await this.#nextOfBody(); chunk; chunk = await this.#nextOfBody()) {
      ignored += chunk.length;
      if (ignored > MAX_IGNORED_BYTES) throw this.#malformed('contains no part');
    }
  }

  /** Behind a delimiter: true if a part follows, false if it was the closing one. */
  async atPart(): Promise<boolean> {
    await this.#atLeast(2);
    if (this.#held[0] === 0x2d && this.#held[1] === 0x2d) return false;
    // Transport padding: spaces and tabs are allowed between a delimiter and its line break.
    let blanks = 0;
    while (this.#held[blanks] === 0x20 || this.#held[blanks] === 0x09) {
      if (++blanks > MAX_BOUNDARY) throw this.#malformed('has a malformed delimiter');
      await this.#atLeast(blanks + 2);
    }
    if (this.#held[blanks] !== 0x0d || this.#held[blanks + 1] !== 0x0a)
      throw this.#malformed('has a malformed delimiter');
    // Keep the line break: it is also the first half of the end of an empty header.
    this.#held = this.#held.subarray(blanks);
    return true;
  }

  async header(): Promise<Map<string, string>> {
    let end = this.#held.indexOf(HEADER_END);
    while (end < 0) {
      if (this.#held.length > this.#maxHeaderBytes)
        throw this.#malformed('has a part whose header is too large');
      await this.#grow();
      end = this.#held.indexOf(HEADER_END);
    }
    if (end > this.#maxHeaderBytes) throw this.#malformed('has a part whose header is too large');
    const text = this.#held.toString('latin1', 0, end);
    // As with the preamble, an empty body needs the line break before its delimiter.
    this.#held = this.#held.subarray(end + CRLF.length);
    this.#inBody = true;
    this.#bodyStarts = true;
    return this.#parseHeader(text);
  }

  async *body(): AsyncGenerator<Uint8Array> {
    for (let chunk = await this.#nextOfBody(); chunk; chunk = await this.#nextOfBody()) yield chunk;
  }

  async skipBody(): Promise<void> {
    while (await this.#nextOfBody());
  }

  async skipEpilogue(): Promise<void> {
    let ignored = this.#held.length;
    for (let next = await this.#source.next(); !next.done; next = await this.#source.next()) {
      ignored += next.value.length;
      if (ignored > MAX_IGNORED_BYTES) throw this.#malformed('continues after its end');
    }
  }

  /** The next bytes of the current body; undefined once its delimiter has been passed. */
  async #nextOfBody(): Promise<Buffer | undefined> {
    while (this.#inBody) {
      const at = this.#held.indexOf(this.#delimiter);
      const ready = at >= 0 ? at : this.#held.length - delimiterBegun(this.#held, this.#delimiter);
      // The line break that ends the header is not part of the body; by now it is known to be complete.
      const skip = this.#bodyStarts ? Math.min(CRLF.length, ready) : 0;
      if (at >= 0) {
        this.#inBody = false;
        this.#bodyStarts = false;
        const chunk = this.#held.subarray(skip, at);
        this.#held = this.#held.subarray(at + this.#delimiter.length);
        if (chunk.length > 0) return chunk;
      } else if (ready > skip) {
        this.#bodyStarts = false;
        const chunk = this.#held.subarray(skip, ready);
        this.#held = this.#held.subarray(ready);
        return chunk;
      } else {
        await this.#grow();
      }
    }
    return undefined;
  }

  #parseHeader(text: string): Map<string, string> {
    const fields = new Map<string, string>();
    for (const line of text.split('\r\n').filter((line) => line !== '')) {
      const colon = line.indexOf(':');
      if (colon <= 0) throw this.#malformed('has a part with a malformed header');
      fields.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
    return fields;
  }

  async #atLeast(bytes: number): Promise<void> {
    while (this.#held.length < bytes) await this.#grow();
  }

  async #grow(): Promise<void> {
    const next = await this.#source.next();
    if (next.done)
      throw new StainError(this.#faults.truncated, 'The multipart body ends before its closing delimiter.');
    const chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
  }

  #malformed(what: string): StainError {
    return new StainError(this.#faults.malformed, `The multipart body ${what}.`);
  }
}

/** Number of bytes at the end of `bytes` that could begin the delimiter. */
function delimiterBegun(bytes: Buffer, delimiter: Buffer): number {
  // A delimiter contains one carriage return, at its start, so only the last one can begin it.
  const from = Math.max(0, bytes.length - delimiter.length + 1);
  const at = bytes.lastIndexOf(0x0d);
  if (at < from) return 0;
  const begun = bytes.length - at;
  return bytes.compare(delimiter, 0, begun, at) === 0 ? begun : 0;
}
