/** Bodies that an archive or a proxy in front of it compresses although nobody asked for it (RFC 9110 section 8.4). */
import { pipeline } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { StainError } from '../../../core/src/errors.ts';

const DECODERS = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
]);

/**
 * @param chunks their errors are thrown as they are; leaving the result early leaves them too
 * @param encoding the Content-Encoding header
 * @throws ARCHIVE_PROTOCOL for any other encoding, and for bytes that do not match it
 */
export async function* decodeBody(
  chunks: AsyncIterable<Uint8Array>,
  encoding: string,
): AsyncGenerator<Uint8Array> {
  const create = DECODERS.get(encoding.trim().toLowerCase());
  if (!create)
    throw new StainError('ARCHIVE_PROTOCOL', 'The archive compressed its answer in an unsupported way.');
  const decoder = create();
  // Its error is reported by the decoder.
  pipeline(chunks, decoder, () => {});
  try {
    yield* decoder as AsyncIterable<Uint8Array>;
  } catch (cause) {
    if (cause instanceof StainError) throw cause;
    throw new StainError('ARCHIVE_PROTOCOL', 'The compressed answer of the archive is damaged.', {
      cause,
    });
  }
}
