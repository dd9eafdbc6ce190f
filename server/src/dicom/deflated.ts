/**
 * Deflated files (PS3.5 A.5): the file meta information is followed by one raw deflate stream with the whole data set,
 * including the pixels. It does not allow random access, so files are inflated before they are opened. The reader
 * decides how much of the stream to consume, and no more than that is inflated.
 */
import { pipeline } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
} from '../../../core/src/dicom/transfer-syntaxes.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from './dataset.ts';
import { MoreBytesNeeded, readFileMeta } from './dataset-reader.ts';
import { hasPart10Prefix, META_START, writeFileMeta } from './file-meta.ts';

/** The file meta information lies within this many bytes; it takes a few hundred. */
export const DEFLATED_START_BYTES = 64 * 1024;
const STEP_BYTES = 256 * 1024;

/** @param start DEFLATED_START_BYTES of a file, or all of it @returns undefined for a file that is not deflated */
export function deflatedStart(start: Uint8Array): { meta: DataSet; end: number } | undefined {
  if (!hasPart10Prefix(start)) return undefined;
  try {
    const found = readFileMeta(start, META_START, Number.POSITIVE_INFINITY);
    return found.meta.string('TransferSyntaxUID') === DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN ? found : undefined;
  } catch (error) {
    // The code that opens the file reports what is wrong with it.
    if (error instanceof MoreBytesNeeded || error instanceof StainError) return undefined;
    throw error;
  }
}

/**
 * Passes a file through; a deflated file comes out in explicit VR little endian.
 * @throws DICOM_INVALID for damaged deflate streams, and whatever `file` throws
 */
export async function* inflateFile(file: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const chunks = file[Symbol.asyncIterator]();
  try {
    const parts: Uint8Array[] = [];
    for (let length = 0; length < DEFLATED_START_BYTES; length += parts.at(-1)!.length) {
      const { value, done } = await chunks.next();
      if (done) break;
      parts.push(value);
    }
    const start = Buffer.concat(parts);
    const found = deflatedStart(start);
    if (found) {
      yield writeFileMeta(found.meta.with({ TransferSyntaxUID: EXPLICIT_VR_LITTLE_ENDIAN }));
      yield* inflate(following(start.subarray(found.end), chunks));
    } else yield* following(start, chunks);
  } finally {
    await chunks.return?.();
  }
}

/** The content of a raw deflate stream. @throws DICOM_INVALID, and whatever `deflated` throws */
export async function* inflate(deflated: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const inflater = createInflateRaw({ chunkSize: STEP_BYTES });
  // Its error is reported by the inflater.
  pipeline(deflated, inflater, () => {});
  try {
    yield* inflater as AsyncIterable<Uint8Array>;
  } catch (cause) {
    if (!isOfZlib(cause)) throw cause;
    throw new StainError('DICOM_INVALID', 'The deflated data set is damaged, or ends too early.', { cause });
  }
}

async function* following(start: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (start.length > 0) yield start;
  yield* { [Symbol.asyncIterator]: () => rest };
}

function isOfZlib(error: unknown): boolean {
  return error instanceof Error && String((error as NodeJS.ErrnoException).code).startsWith('Z_');
}
