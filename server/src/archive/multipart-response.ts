/** Writes multipart/related responses part by part, as fast as the client reads. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Response } from 'express';

/**
 * Memory held by a response is not available to others until the client has read it: a client that reads less than a
 * slice in this time (17 KB per second) is cut off.
 */
const SLICE_BYTES = 2 ** 20;
const SLICE_TIME_MS = 60_000;

/** Number of characters written at once. */
const TEXT_AT_ONCE = 2 ** 16;

export interface OutgoingPart {
  readonly contentType: string;
  readonly location?: string;
  readonly body: AsyncIterable<Uint8Array> | Uint8Array;
  /** Length of the body. If all parts have one, the response has a Content-Length, and a broken response is noticed. */
  readonly byteLength?: number;
}

/**
 * @param type media type of the parts, for the `type` parameter of the response
 * @param parts in order; each is requested once the previous one has been written
 * @throws the errors of the parts; a response that has begun must then be cut off
 */
export async function sendMultipart(
  response: Response,
  type: string,
  parts: AsyncIterable<OutgoingPart> | readonly OutgoingPart[],
): Promise<void> {
  const boundary = randomUUID();
  response.setHeader('Content-Type', `multipart/related; type="${type}"; boundary=${boundary}`);
  const tail = `\r\n--${boundary}--\r\n`;
  if (Array.isArray(parts) && parts.every(({ byteLength }) => byteLength !== undefined)) {
    const bodies = parts.reduce(
      (sum, part, i) => sum + headOf(part, boundary, i === 0).length + part.byteLength,
      0,
    );
    response.setHeader('Content-Length', bodies + tail.length);
  }
  if (response.req.method === 'HEAD') return void response.end();
  let isFirst = true;
  for await (const part of parts) {
    await write(response, Buffer.from(headOf(part, boundary, isFirst), 'latin1'));
    isFirst = false;
    if (part.body instanceof Uint8Array) await write(response, part.body);
    else for await (const chunk of part.body) await write(response, chunk);
  }
  response.end(isFirst ? `--${boundary}--\r\n` : tail);
}

/** Answers HEAD where only making the body would tell its length. */
export function onlyHead(response: Response, contentType: string): void {
  response.setHeader('Content-Type', contentType);
  response.end();
}

/** One part without multipart, or all parts with it. */
export async function sendParts(
  response: Response,
  type: string,
  parts: readonly OutgoingPart[] | AsyncGenerator<OutgoingPart>,
  multipart: boolean,
): Promise<void> {
  if (multipart) {
    await sendMultipart(response, type, parts);
    return;
  }
  for await (const { contentType, body, byteLength } of parts) {
    // Not with `type()`, which would add a charset.
    response.setHeader('Content-Type', contentType);
    if (byteLength !== undefined) response.setHeader('Content-Length', byteLength);
    if (response.req.method === 'HEAD') break;
    if (body instanceof Uint8Array) await write(response, body);
    else for await (const chunk of body) await write(response, chunk);
  }
  response.end();
}

/** Writes text in pieces of a certain size. @throws like `write` */
export async function writeAll(response: Response, start: string, pieces: Iterable<string>): Promise<void> {
  let text = start;
  for (const piece of pieces) {
    text += piece;
    if (text.length < TEXT_AT_ONCE) continue;
    await write(response, Buffer.from(text));
    text = '';
  }
  await write(response, Buffer.from(text));
}

/**
 * Writes, and waits for the client to keep up.
 * @throws AbortError if the client went away, or read less than a slice in the time allowed
 */
export async function write(response: Response, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    if (response.destroyed) throw gone();
    if (!response.write(bytes.subarray(at, at + SLICE_BYTES))) await drained(response);
  }
}

async function drained(response: Response): Promise<void> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  response.once('close', end);
  const timer = setTimeout(end, SLICE_TIME_MS);
  try {
    await once(response, 'drain', { signal: ended.signal });
  } finally {
    clearTimeout(timer);
    response.off('close', end);
  }
}

function gone(): Error {
  return new DOMException('The client went away.', 'AbortError');
}

function headOf({ contentType, location }: OutgoingPart, boundary: string, isFirst: boolean): string {
  const fields = [
    `Content-Type: ${contentType}`,
    ...(location === undefined ? [] : [`Content-Location: ${location}`]),
  ];
  return `${isFirst ? '' : '\r\n'}--${boundary}\r\n${fields.join('\r\n')}\r\n\r\n`;
}
