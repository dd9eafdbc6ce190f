/** Header of a Part 10 file (PS3.10 section 7): file meta information and data set, up to the pixel data. */
import { StainError } from '../errors.ts';
import type { DataSet } from './dataset.ts';
import { MoreBytesNeeded, readDataSet, readFileMeta, type ValueLocation } from './dataset-reader.ts';
import { hasPart10Prefix, META_START } from './file-meta.ts';
import type { ReserveHeader } from './part10-file.ts';
import { type TransferSyntax, transferSyntaxOf } from './transfer-syntax.ts';

const NEVER = new AbortController().signal;
const FIRST_READ_BYTES = 64 * 1024;
/** Elements from here on (a float, double or integer Pixel Data, signatures) are not part of the header. */
const PIXEL_DATA_GROUP_END = '7FE00008';

export interface Part10Header {
  readonly meta: DataSet;
  readonly dataSet: DataSet;
  readonly transferSyntaxUid: string;
  readonly transferSyntax: TransferSyntax;
  /** Where the value of Pixel Data lies. */
  readonly pixelData: ValueLocation;
}

/** A file that is read from its beginning. */
export interface HeaderSource {
  /** Bytes of the whole file; Infinity as long as that is not known. */
  readonly size: number;
  /** The first bytes; fewer where a file of unknown size ends before. */
  first(length: number): Promise<Uint8Array>;
}

/**
 * Reads longer and longer beginnings of the file until the header is complete, never the pixels.
 * @throws DICOM_INVALID, TRANSFER_SYNTAX_UNSUPPORTED, and what the source throws
 */
export async function readPart10Header(
  source: HeaderSource,
  maxHeaderBytes: number,
  signal: AbortSignal | undefined,
  reserve?: ReserveHeader,
): Promise<Part10Header> {
  let length = Math.min(FIRST_READ_BYTES, source.size);
  for (;;) {
    signal?.throwIfAborted();
    const room = await reserve?.(length, signal ?? NEVER);
    try {
      const bytes = await source.first(length);
      return parseHeader(bytes, source.size);
    } catch (error) {
      // What was read is let go of before there is room for more.
      room?.[Symbol.dispose]();
      if (!(error instanceof MoreBytesNeeded)) throw error;
      if (error.end > maxHeaderBytes)
        throw new StainError('DICOM_INVALID', `The DICOM header takes more than ${maxHeaderBytes} bytes.`, {
          data: { maxHeaderBytes },
        });
      length = Math.min(Math.max(error.end, Math.min(length * 4, maxHeaderBytes)), source.size);
    }
  }
}

function parseHeader(bytes: Uint8Array, total: number): Part10Header {
  if (!hasPart10Prefix(bytes))
    throw new StainError('DICOM_INVALID', 'The instance is no DICOM Part 10 file.');
  const { meta, end } = readFileMeta(bytes, META_START, total);
  const transferSyntaxUid = meta.string('TransferSyntaxUID');
  if (!transferSyntaxUid)
    throw new StainError('DICOM_INVALID', 'The file meta information names no transfer syntax.');
  const transferSyntax = transferSyntaxOf(transferSyntaxUid);
  const { dataSet, next: pixelData } = readDataSet(bytes, {
    start: end,
    explicitVr: transferSyntax.explicitVr,
    total,
    until: PIXEL_DATA_GROUP_END,
  });
  if (pixelData?.tag !== '7FE00010')
    throw new StainError('DICOM_INVALID', 'The instance holds no Pixel Data (7FE0,0010).');
  if ((pixelData.length === undefined) !== transferSyntax.encapsulated)
    throw new StainError('DICOM_INVALID', `The Pixel Data do not suit transfer syntax ${transferSyntaxUid}.`);
  return { meta, dataSet, transferSyntaxUid, transferSyntax, pixelData };
}
