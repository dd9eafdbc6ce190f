/** Decodes a stored frame to RGB, by transfer syntax. A codec is loaded when its first frame arrives. */
import { type CodecFamily, transferSyntax } from '../dicom/transfer-syntaxes.ts';
import { StainError } from '../errors.ts';
import { type FrameFormat, requireFrameSize } from './frame-format.ts';
import { decodeJpeg } from './jpeg.ts';
import { decodeJpegLs } from './jpeg-ls.ts';
import { decodeJpeg2000 } from './jpeg2000.ts';
import { decodeRle } from './rle.ts';
import { decodeUncompressed } from './uncompressed.ts';

type Decoder = (
  bytes: Uint8Array,
  format: FrameFormat,
  memory?: Uint8Array,
) => Uint8Array | Promise<Uint8Array>;

const DECODERS: Readonly<Record<CodecFamily, Decoder>> = {
  uncompressed: decodeUncompressed,
  jpeg: decodeJpeg,
  'jpeg-ls': decodeJpegLs,
  'jpeg-2000': decodeJpeg2000,
  rle: decodeRle,
};

/**
 * @param memory rows x columns x 3 bytes that may be used for the result
 * @returns rows x columns x 3 bytes, RGB interleaved; without `memory` alone in its buffer
 * @throws TRANSFER_SYNTAX_UNSUPPORTED, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED, FRAME_INVALID
 */
export async function decodeFrame(
  bytes: Uint8Array,
  format: FrameFormat,
  memory?: Uint8Array,
): Promise<Uint8Array> {
  requireFrameSize(format);
  return decoderOf(format.transferSyntaxUid)(bytes, format, memory);
}

function decoderOf(uid: string): Decoder {
  const { codec } = transferSyntax(uid);
  if (!codec)
    throw new StainError('TRANSFER_SYNTAX_UNSUPPORTED', `Frames of transfer syntax ${uid} cannot be read.`, {
      data: { transferSyntaxUid: uid },
    });
  return DECODERS[codec];
}
