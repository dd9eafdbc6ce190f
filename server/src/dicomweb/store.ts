/**
 * STOW-RS of one instance, exactly once as far as HTTP allows (PS3.18 has no conditional store): the same bytes under
 * the same UID, and a check of the archive before anything is sent again.
 */
import { randomUUID } from 'node:crypto';
import { type Retry, StainError } from '../../../core/src/errors.ts';
import type { ArchiveConnection, UploadBody } from './connection.ts';
import { statusFault } from './faults.ts';
import { studyPath } from './resource-path.ts';
import { isRetryable, waitBeforeRetry } from './retry.ts';
import type { SearchLimits } from './search.ts';
import { formatReason, readStoreAnswer, type StoreOutcome } from './store-answer.ts';
import { type ExpectedInstance, presenceOf } from './stored-instance.ts';

export interface StorableInstance {
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  /** Exact length of the Part 10 file. */
  readonly byteLength: number;
  /** Rows, Columns and Number of Frames distinguish our instance from a stranger's with the same UID. */
  readonly rows?: number;
  readonly columns?: number;
  readonly numberOfFrames?: number;
  /** The Part 10 file; called again for every attempt, with the same bytes. */
  stream(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

/** @throws STORE_REJECTED, STORE_UNVERIFIED, PAYLOAD_TOO_LARGE, and whatever the connection throws */
export async function storeInstance(
  connection: ArchiveConnection,
  studyUid: string,
  instance: StorableInstance,
  limits: SearchLimits,
  signal: AbortSignal,
): Promise<void> {
  const presence = (): ReturnType<typeof presenceOf> =>
    presenceOf(
      connection,
      { studyUid, sopUid: instance.sopInstanceUid },
      expectedOf(instance),
      limits,
      signal,
    );
  for (let retry = 0; ; retry++) {
    try {
      const outcome = await send(connection, studyUid, instance, signal);
      await accept(outcome, instance, presence);
      return;
    } catch (error) {
      if (!isRetryable(error) || retry >= connection.retries.maxRetries) {
        // The archive may have stored it all the same, and only its response is missing.
        if (leavesDoubt(error) && (await presence().catch(() => 'unknown')) === 'same') return;
        throw error;
      }
      await waitBeforeRetry(error, retry, connection.retries, signal);
      // The response may have been lost after the archive stored the instance.
      const found = await presence();
      if (found === 'same') return;
      if (found === 'other') throw uidTaken(instance);
    }
  }
}

/** Failures after which the instance may or may not be in the archive. */
function leavesDoubt(error: unknown): boolean {
  const codes: readonly string[] = [
    'ARCHIVE_TIMEOUT',
    'ARCHIVE_ERROR',
    'ARCHIVE_TRUNCATED',
    'ARCHIVE_PROTOCOL',
    'ARCHIVE_UNREACHABLE',
    'ARCHIVE_TLS_FAILED',
  ];
  return error instanceof StainError && codes.includes(error.code);
}

async function send(
  connection: ArchiveConnection,
  studyUid: string,
  instance: StorableInstance,
  signal: AbortSignal,
): Promise<StoreOutcome> {
  const path = studyPath(studyUid);
  const { status, retryAfterMs, text } = await connection.post(path, multipart(instance, signal), signal);
  if (status === 413)
    throw new StainError(
      'PAYLOAD_TOO_LARGE',
      `The archive, or a proxy in front of it, does not accept a body of ${Math.ceil(instance.byteLength / 1e6)} MB; raise its limit.`,
      { data: { status, byteLength: instance.byteLength } },
    );
  if (status === 200 || status === 202 || status === 409) {
    const outcome = readStoreAnswer(status, text, instance.sopInstanceUid);
    if (outcome.kind !== 'later') return outcome;
    throw rejection(outcome.reason, instance, { afterMs: retryAfterMs });
  }
  throw statusFault(
    { status, retryAfter: retryAfterMs === undefined ? undefined : String(Math.ceil(retryAfterMs / 1000)) },
    { method: 'POST', path: `/${path.join('/')}`, notFound: 'NOT_FOUND' },
  );
}

/** Evaluates the archive's response; in case of doubt, the archive's contents count. */
async function accept(
  outcome: StoreOutcome,
  instance: StorableInstance,
  presence: () => ReturnType<typeof presenceOf>,
): Promise<void> {
  if (outcome.kind === 'stored') return;
  if (outcome.kind === 'unsaid') {
    // An older Orthanc answers 200 but stores nothing.
    if ((await presence()) === 'same') return;
    throw new StainError(
      'STORE_UNVERIFIED',
      'The archive answered 200 to an instance but does not have it.',
      { data: { sopInstanceUid: instance.sopInstanceUid } },
    );
  }
  if (outcome.kind === 'duplicate') {
    const found = await presence();
    if (found === 'same') return;
    if (found === 'other') throw uidTaken(instance);
  }
  throw rejection(outcome.reason, instance);
}

function expectedOf({ sopClassUid, rows, columns, numberOfFrames }: StorableInstance): ExpectedInstance {
  return {
    sopClassUid,
    ...(rows && { rows }),
    ...(columns && { columns }),
    ...(numberOfFrames && { numberOfFrames }),
  };
}

function rejection(
  reason: number | undefined,
  { sopInstanceUid }: StorableInstance,
  retry?: Retry,
): StainError {
  const code = reason === undefined ? undefined : formatReason(reason);
  return new StainError(
    'STORE_REJECTED',
    `The archive did not store an instance (${code ? `failure reason ${code}` : 'no reason given'}).`,
    { data: { sopInstanceUid, ...(code && { failureReason: code }) }, retry },
  );
}

function uidTaken({ sopInstanceUid }: StorableInstance): StainError {
  return new StainError(
    'STORE_REJECTED',
    'The archive has a different image under the UID of this instance.',
    {
      data: { sopInstanceUid, failureReason: '0111' },
    },
  );
}

function multipart(instance: StorableInstance, signal: AbortSignal): UploadBody {
  const boundary = `stain-${randomUUID()}`;
  const head = Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`);
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`);
  return {
    contentType: `multipart/related; type="application/dicom"; boundary=${boundary}`,
    byteLength: head.length + instance.byteLength + tail.length,
    stream: concatenate(head, exactly(instance, signal), tail),
  };
}

async function* concatenate(
  head: Uint8Array,
  body: AsyncIterable<Uint8Array>,
  tail: Uint8Array,
): AsyncGenerator<Uint8Array> {
  yield head;
  yield* body;
  yield tail;
}

/**
 * The file, checked for its length: with a wrong Content-Length the archive would wait, or the file would be cut off.
 */
async function* exactly(instance: StorableInstance, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of instance.stream(signal)) {
    bytes += chunk.length;
    if (bytes > instance.byteLength) break;
    yield chunk;
  }
  if (bytes !== instance.byteLength)
    throw new StainError('INTERNAL', 'The length of an instance differs from the announced length.', {
      data: { announced: instance.byteLength },
    });
}
