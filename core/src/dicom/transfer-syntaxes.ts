/** Transfer syntaxes (PS3.6 table A-1): one row each, with everything that the product needs to know about it. */
import type { OutputEncoding } from '../contract/output.ts';

export const IMPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2';
export const EXPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
export const DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2.1.99';
export const EXPLICIT_VR_BIG_ENDIAN = '1.2.840.10008.1.2.2';
export const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
export const JPEG_LS_NEAR_LOSSLESS = '1.2.840.10008.1.2.4.81';
export const JPEG_2000 = '1.2.840.10008.1.2.4.91';
export const RLE_LOSSLESS = '1.2.840.10008.1.2.5';

export type CodecFamily = 'uncompressed' | 'jpeg' | 'jpeg-ls' | 'jpeg-2000' | 'rle';

export interface TransferSyntax {
  readonly uid: string;
  /** The codec for its frames; if undefined, they cannot be read. */
  readonly codec?: CodecFamily;
  /** Media type of its frames (PS3.18 table 8.7.3-5). */
  readonly mediaType: string;
  /** Baseline and extended JPEG, and the lossy modes of JPEG-LS, JPEG 2000 and HTJ2K. */
  readonly allowsLoss?: true;
  /** Results with this encoding are stored in this transfer syntax. */
  readonly output?: OutputEncoding;
}

const OCTET_STREAM = 'application/octet-stream';

export const TRANSFER_SYNTAXES: readonly TransferSyntax[] = [
  { uid: JPEG_BASELINE, codec: 'jpeg', mediaType: 'image/jpeg', allowsLoss: true, output: 'jpeg' },
  // JPEG extended, lossless, and lossless with the first prediction.
  { uid: '1.2.840.10008.1.2.4.51', mediaType: 'image/jpeg', allowsLoss: true },
  { uid: '1.2.840.10008.1.2.4.57', mediaType: 'image/jpeg' },
  { uid: '1.2.840.10008.1.2.4.70', mediaType: 'image/jpeg' },
  // JPEG 2000, and its second part.
  { uid: '1.2.840.10008.1.2.4.90', codec: 'jpeg-2000', mediaType: 'image/jp2', output: 'jpeg2000' },
  { uid: JPEG_2000, codec: 'jpeg-2000', mediaType: 'image/jp2', allowsLoss: true },
  { uid: '1.2.840.10008.1.2.4.92', mediaType: 'image/jpx' },
  { uid: '1.2.840.10008.1.2.4.93', mediaType: 'image/jpx', allowsLoss: true },
  // JPEG-LS.
  { uid: '1.2.840.10008.1.2.4.80', codec: 'jpeg-ls', mediaType: 'image/jls' },
  { uid: JPEG_LS_NEAR_LOSSLESS, codec: 'jpeg-ls', mediaType: 'image/jls', allowsLoss: true },
  // High-throughput JPEG 2000: lossless, lossless by resolution, any.
  { uid: '1.2.840.10008.1.2.4.201', codec: 'jpeg-2000', mediaType: 'image/jphc', output: 'htj2k' },
  { uid: '1.2.840.10008.1.2.4.202', codec: 'jpeg-2000', mediaType: 'image/jphc' },
  { uid: '1.2.840.10008.1.2.4.203', codec: 'jpeg-2000', mediaType: 'image/jphc', allowsLoss: true },
  { uid: RLE_LOSSLESS, codec: 'rle', mediaType: 'image/dicom-rle' },
  { uid: EXPLICIT_VR_LITTLE_ENDIAN, codec: 'uncompressed', mediaType: OCTET_STREAM },
  { uid: IMPLICIT_VR_LITTLE_ENDIAN, codec: 'uncompressed', mediaType: OCTET_STREAM },
];

const byUid = new Map(TRANSFER_SYNTAXES.map((syntax) => [syntax.uid, syntax]));

/** An unknown transfer syntax counts as neither lossy nor readable; its frames are bytes. */
export function transferSyntax(uid: string): TransferSyntax {
  return byUid.get(uid) ?? { uid, mediaType: OCTET_STREAM };
}

/** Whether its frames may be lossy; the header says whether they are. */
export function allowsLoss(uid: string): boolean {
  return transferSyntax(uid).allowsLoss === true;
}

export function isUncompressed(uid: string): boolean {
  return transferSyntax(uid).codec === 'uncompressed';
}

/** The transfer syntax in which results with this encoding are stored. */
export function outputSyntax(encoding: OutputEncoding): string {
  const syntax = TRANSFER_SYNTAXES.find(({ output }) => output === encoding);
  if (!syntax) throw new Error(`no transfer syntax has the encoding ${encoding}`);
  return syntax.uid;
}
