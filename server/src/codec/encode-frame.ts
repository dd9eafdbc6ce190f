/** Encodes RGB as a stored frame. */

import type { OutputEncoding } from '../../../core/src/contract/output.ts';
import './node-codecs.ts';
import { encodeHtj2k, encodeJpeg2000 } from '../../../core/src/codec/jpeg2000.ts';
import { encodeJpeg } from './encode-jpeg.ts';

export interface EncodeOptions {
  readonly rows: number;
  readonly columns: number;
  /** `jpeg`: baseline, 4:2:2, at `quality`. `htj2k` and `jpeg2000`: lossless, reversible colour transform. */
  readonly encoding: OutputEncoding;
  /** 1 to 100; for JPEG. */
  readonly quality: number;
}

/**
 * @param rgb rows x columns x 3 bytes
 * @returns the codestream, alone in its buffer
 */
export async function encodeFrame(
  rgb: Uint8Array,
  { rows, columns, encoding, quality }: EncodeOptions,
): Promise<Uint8Array> {
  switch (encoding) {
    case 'jpeg':
      return encodeJpeg(rgb, columns, rows, quality);
    case 'htj2k':
      return encodeHtj2k(rgb, columns, rows);
    case 'jpeg2000':
      return encodeJpeg2000(rgb, columns, rows);
  }
}
