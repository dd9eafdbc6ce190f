/** Bodies that an archive, or a proxy before it, compresses although nobody asked for it (RFC 9110 section 8.4). */
import { pipeline } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { StainError } from '../errors.ts';

const DECODERS = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
]);

/**
 * @param chunks what they throw is thrown as it is; leaving the result early leaves them too
 * @param encoding the header Content-Encoding
 * @throws ARCHIVE_PROTOCOL for another encoding, and for bytes that are not in theirs
 */
export async function* decodeBody(
  chunks: AsyncIterable<Uint8Array>,
  encoding: string,
): AsyncGenerator<Uint8Array> {
  const create = DECODERS.get(encoding.trim().toLowerCase());
  if (!create)
    throw new StainError('ARCHIVE_PROTOCOL', 'The archive compresses its answer in a way nobody asked for.');
  const decoder = create();
  // Its error comes out of the decoder.
  pipeline(chunks, decoder, () => {});
  try {
    yield* decoder as AsyncIterable<Uint8Array>;
  } catch (cause) {
    if (cause instanceof StainError) throw cause;
    throw new StainError('ARCHIVE_PROTOCOL', 'The archive sends a compressed answer that is damaged.', {
      cause,
    });
  }
}
