/** One stored frame to RGB, by transfer syntax. A codec is loaded when its first frame comes. */
import { StainError } from '../errors.ts';
import { type FrameFormat, requireFrameSize } from './frame-format.ts';
import { decodeJpeg } from './jpeg.ts';
import { decodeJpegLs } from './jpeg-ls.ts';
import { decodeJpeg2000 } from './jpeg2000.ts';
import { decodeRle } from './rle.ts';
import { decodeUncompressed } from './uncompressed.ts';

type Decoder = (bytes: Uint8Array, format: FrameFormat) => Uint8Array | Promise<Uint8Array>;

const DECODERS: ReadonlyMap<string, Decoder> = new Map<string, Decoder>([
  ['1.2.840.10008.1.2', decodeUncompressed],
  ['1.2.840.10008.1.2.1', decodeUncompressed],
  ['1.2.840.10008.1.2.4.50', decodeJpeg],
  ['1.2.840.10008.1.2.4.80', decodeJpegLs],
  ['1.2.840.10008.1.2.4.81', decodeJpegLs],
  ['1.2.840.10008.1.2.4.90', decodeJpeg2000],
  ['1.2.840.10008.1.2.4.91', decodeJpeg2000],
  ['1.2.840.10008.1.2.4.201', decodeJpeg2000],
  ['1.2.840.10008.1.2.4.202', decodeJpeg2000],
  ['1.2.840.10008.1.2.4.203', decodeJpeg2000],
  ['1.2.840.10008.1.2.5', decodeRle],
]);

/**
 * @returns rows x columns x 3 bytes, RGB interleaved, alone in their buffer
 * @throws TRANSFER_SYNTAX_UNSUPPORTED, FRAME_SIZE_MISMATCH, PIXEL_FORMAT_UNSUPPORTED, FRAME_INVALID
 */
export async function decodeFrame(bytes: Uint8Array, format: FrameFormat): Promise<Uint8Array> {
  requireFrameSize(format);
  return decoderOf(format.transferSyntaxUid)(bytes, format);
}

function decoderOf(uid: string): Decoder {
  const decoder = DECODERS.get(uid);
  if (!decoder)
    throw new StainError('TRANSFER_SYNTAX_UNSUPPORTED', `Frames of transfer syntax ${uid} cannot be read.`, {
      data: { transferSyntaxUid: uid },
    });
  return decoder;
}
