/** WADO-RS RetrieveFrames in large batches: one request a frame is up to a hundred times slower. */
import { StainError } from '../errors.ts';
import type { ArchiveConnection, ArchiveResponse } from './connection.ts';
import { isWebPage, webPageFault } from './faults.ts';
import { parseMediaType } from './media-type.ts';
import { boundaryOf, readMultipart } from './multipart-reader.ts';
import { FRAMES_ACCEPT, OTHER_FRAMES } from './named-syntaxes.ts';
import { type InstanceAddress, instancePath } from './resource-path.ts';
import { isPassing, waitBeforeRetry } from './retry.ts';

export interface Frame {
  /** Place in the list that was asked for, 0-based. */
  readonly index: number;
  /** 1-based, as asked for. */
  readonly frameNumber: number;
  /** Content type as the archive sent it; archives are known to name it wrongly. */
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

export interface FrameLimits {
  readonly framesPerRequest: number;
  readonly maxFrameBytes: number;
}

/** nginx and others refuse request lines above 8 KiB. */
const MAX_LIST_LENGTH = 6000;

/** @throws NOT_FOUND, ARCHIVE_TRUNCATED, ARCHIVE_PROTOCOL and what the connection throws */
export async function* retrieveFrames(
  connection: ArchiveConnection,
  address: InstanceAddress,
  frameNumbers: readonly number[],
  limits: FrameLimits,
  signal: AbortSignal,
): AsyncGenerator<Frame> {
  let done = 0;
  for (let retry = 0; done < frameNumbers.length; ) {
    const batch = nextBatch(frameNumbers, done, limits.framesPerRequest);
    const before = done;
    try {
      const request = { path: [...instancePath(address), 'frames'], frames: batch };
      for await (const { contentType, bytes } of framesOf(
        await ask(connection, request, signal),
        batch.length,
        limits,
      )) {
        const index = done++;
        yield { index, frameNumber: frameNumbers[index]!, contentType, bytes };
      }
      retry = 0;
    } catch (error) {
      retry = done > before ? 0 : retry;
      if (!isPassing(error) || retry >= connection.retries.maxRetries) throw error;
      await waitBeforeRetry(error, retry++, connection.retries, signal);
    }
  }
}

function ask(
  connection: ArchiveConnection,
  request: { path: string[]; frames: readonly number[] },
  signal: AbortSignal,
): Promise<ArchiveResponse> {
  const path = [...request.path, request.frames.join(',')];
  return connection.habits.ask(
    ({ frames }) => connection.getOnce({ path, accept: FRAMES_ACCEPT[frames] }, signal),
    OTHER_FRAMES,
  );
}

/** As many frames from `start` on as a request may ask for, by number and by length of the URL. */
function nextBatch(frameNumbers: readonly number[], start: number, most: number): readonly number[] {
  let end = start;
  for (let length = 0; end < frameNumbers.length && end - start < most; end++) {
    length += String(frameNumbers[end]).length + 1;
    if (length > MAX_LIST_LENGTH) break;
  }
  return frameNumbers.slice(start, end);
}

async function* framesOf(
  { contentType = '', chunks }: ArchiveResponse,
  expected: number,
  limits: FrameLimits,
): AsyncGenerator<{ contentType: string; bytes: Uint8Array }> {
  if (isWebPage(contentType)) throw webPageFault();
  // One frame may come without multipart (PS3.18 8.7.4, single part).
  if (expected === 1 && !parseMediaType(contentType).essence.startsWith('multipart/')) {
    yield { contentType, bytes: await collectFrame(chunks, limits.maxFrameBytes) };
    return;
  }
  let found = 0;
  for await (const { headers, body } of readMultipart(chunks, boundaryOf(contentType), {
    maxParts: expected,
  })) {
    found++;
    yield {
      contentType: headers.get('content-type') ?? '',
      bytes: await collectFrame(body, limits.maxFrameBytes),
    };
  }
  if (found < expected)
    throw new StainError('ARCHIVE_TRUNCATED', `The archive sent ${found} of ${expected} frames.`, {
      data: { found, expected },
    });
}

async function collectFrame(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const held: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new StainError('ARCHIVE_PROTOCOL', `The archive sent a frame of more than ${maxBytes} bytes.`, {
        data: { maxBytes },
      });
    held.push(chunk);
  }
  // Always a copy: a view would keep the whole chunk it lies in alive.
  return Buffer.concat(held);
}
