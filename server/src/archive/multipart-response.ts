/** Writes multipart/related answers part by part, as fast as the client reads. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Response } from 'express';

/**
 * What an answer holds in memory is not free for others before the client has it: one that takes less than a slice in
 * this time, 17 KB a second, is cut off.
 */
const SLICE_BYTES = 2 ** 20;
const SLICE_TIME_MS = 60_000;

export interface OutgoingPart {
  readonly contentType: string;
  readonly location?: string;
  readonly body: AsyncIterable<Uint8Array> | Uint8Array;
  /** Length of the body; with it on all parts, the answer has a Content-Length and a broken one is noticed. */
  readonly byteLength?: number;
}

/**
 * @param type media type of the parts, as the `type` parameter of the answer
 * @param parts in order; each is asked for when the one before it has been written
 * @throws what the parts throw; an answer that was begun must then be cut off
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
  let isFirst = true;
  for await (const part of parts) {
    await write(response, Buffer.from(headOf(part, boundary, isFirst), 'latin1'));
    isFirst = false;
    if (part.body instanceof Uint8Array) await write(response, part.body);
    else for await (const chunk of part.body) await write(response, chunk);
  }
  response.end(isFirst ? `--${boundary}--\r\n` : tail);
}

/**
 * Writes and waits for the client to keep up.
 * @throws AbortError where it went away, or took less than a slice in the time that it has for one
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
