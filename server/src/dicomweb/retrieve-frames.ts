/** WADO-RS RetrieveFrames in large batches: one request per frame is up to a hundred times slower. */
import { StainError } from '../../../core/src/errors.ts';
import type { ArchiveConnection, ArchiveResponse } from './connection.ts';
import { isWebPage, webPageFault } from './faults.ts';
import { parseMediaType } from './media-type.ts';
import { boundaryOf, readMultipart } from './multipart-reader.ts';
import { FRAMES_ACCEPT, OTHER_FRAMES } from './named-syntaxes.ts';
import { type InstanceAddress, instancePath } from './resource-path.ts';
import { isRetryable, waitBeforeRetry } from './retry.ts';

export interface Frame {
  /** Index in the requested list, 0-based. */
  readonly index: number;
  /** 1-based, as requested. */
  readonly frameNumber: number;
  /** Content type as sent by the archive; archives are known to get it wrong. */
  readonly contentType: string;
  readonly bytes: Uint8Array;
}

export interface FrameLimits {
  readonly framesPerRequest: number;
  readonly maxFrameBytes: number;
}

/** nginx and others refuse request lines above 8 KiB. */
const MAX_LIST_LENGTH = 6000;

/** @throws NOT_FOUND, ARCHIVE_TRUNCATED, ARCHIVE_PROTOCOL and whatever the connection throws */
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
      if (!isRetryable(error) || retry >= connection.retries.maxRetries) throw error;
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

/** As many frames from `start` as fit into one request, by number and by length of the URL. */
function nextBatch(frameNumbers: readonly number[], start: number, maxFrames: number): readonly number[] {
  let end = start;
  for (let length = 0; end < frameNumbers.length && end - start < maxFrames; end++) {
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
  // A single frame may come without multipart (PS3.18 8.7.4, single part).
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
  // Always copy: a view would keep its whole chunk alive.
  return Buffer.concat(held);
}
