/** WADO-RS RetrieveInstance as a stream that survives a broken connection. */
import { crc32 } from 'node:zlib';
import { StainError } from '../../../core/src/errors.ts';
import type { ArchiveConnection, ArchiveResponse } from './connection.ts';
import { isWebPage, webPageFault } from './faults.ts';
import { parseMediaType } from './media-type.ts';
import { boundaryOf, readMultipart } from './multipart-reader.ts';
import { INSTANCE_ACCEPT, OTHER_INSTANCES } from './named-syntaxes.ts';
import { type InstanceAddress, instancePath } from './resource-path.ts';
import { isRetryable, waitBeforeRetry } from './retry.ts';

/**
 * A broken body is requested again and its beginning skipped, using a checksum of what was already passed on: an
 * archive that sends different bytes the second time causes ARCHIVE_TRUNCATED, never a file of two halves.
 * @param onLength awaited before the first byte of a response that announces its length
 * @throws NOT_FOUND, ARCHIVE_TRUNCATED, ARCHIVE_PROTOCOL and whatever the connection throws
 */
export async function* retrieveInstance(
  connection: ArchiveConnection,
  address: InstanceAddress,
  signal: AbortSignal,
  onLength: (bytes: number) => Promise<void> = async () => {},
): AsyncGenerator<Uint8Array> {
  const path = instancePath(address);
  const sent = new Checksum();
  for (let retry = 0; ; retry++) {
    const before = sent.bytes;
    try {
      const response = await connection.habits.ask(
        ({ instances }) => connection.getOnce({ path, accept: INSTANCE_ACCEPT[instances] }, signal),
        OTHER_INSTANCES,
      );
      // Length of the whole body: slightly more than the instance if it is wrapped in multipart.
      const length = Number(response.header('content-length'));
      if (sent.bytes === 0 && Number.isSafeInteger(length) && length > 0) await onLength(length);
      for await (const chunk of behind(instanceBody(response), sent)) {
        sent.add(chunk);
        yield chunk;
      }
      return;
    } catch (error) {
      if (!isRetryable(error) || retry >= connection.retries.maxRetries) throw error;
      // Only attempts that bring nothing count: over a bad line, a large slide succeeds in the end.
      if (sent.bytes > before) retry = -1;
      await waitBeforeRetry(error, Math.max(retry, 0), connection.retries, signal);
    }
  }
}

/** Running CRC-32 of the bytes passed on: 0.1 s per gigabyte, and enough to notice that an archive re-encodes. */
class Checksum {
  bytes = 0;
  value = 0;

  add(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    this.value = crc32(chunk, this.value);
  }
}

/** What follows the bytes already passed on, once those have been verified to be the same again. */
async function* behind(body: AsyncIterable<Uint8Array>, sent: Checksum): AsyncGenerator<Uint8Array> {
  const { bytes: skip, value } = sent;
  const again = new Checksum();
  for await (const chunk of body) {
    const left = skip - again.bytes;
    if (left <= 0) {
      yield chunk;
      continue;
    }
    again.add(chunk.subarray(0, left));
    if (again.bytes < skip) continue;
    if (again.value !== value) throw changed();
    if (chunk.length > left) yield chunk.subarray(left);
  }
  if (again.bytes < skip) throw changed();
}

function changed(): StainError {
  return new StainError(
    'ARCHIVE_TRUNCATED',
    'The connection broke, and the archive then sent different bytes for the same instance.',
  );
}

/** Bytes of the one instance in the response, whether or not the archive wraps it in multipart. */
async function* instanceBody({ contentType, chunks }: ArchiveResponse): AsyncGenerator<Uint8Array> {
  if (isWebPage(contentType)) throw webPageFault();
  const { essence } = parseMediaType(contentType ?? '');
  if (essence === 'application/dicom' || essence === 'application/octet-stream') {
    yield* chunks;
    return;
  }
  let parts = 0;
  for await (const part of readMultipart(chunks, boundaryOf(contentType), { maxParts: 1 })) {
    parts++;
    yield* part.body;
  }
  if (parts === 0) throw new StainError('NOT_FOUND', 'The archive answered with no instance.');
}
