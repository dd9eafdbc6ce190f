/** Header of a Part 10 file (PS3.10 section 7): file meta information and data set, up to the pixel data. */
import { StainError } from '../../../core/src/errors.ts';
import type { Reservation } from '../sharing/budget.ts';
import { type DataSetEncoding, dataSetEncoding } from './data-set-encoding.ts';
import type { DataSet } from './dataset.ts';
import { MoreBytesNeeded, readDataSet, readFileMeta, type ValueLocation } from './dataset-reader.ts';
import { hasPart10Prefix, META_START } from './file-meta.ts';

/** Asked to reserve memory before a header, or more of it, is read. */
export type ReserveHeader = (bytes: number, signal: AbortSignal) => Promise<Reservation>;

const NEVER = new AbortController().signal;
export const FIRST_READ_BYTES = 64 * 1024;
/** Pixel Data; headers end before it. */
export const PIXEL_DATA = '7FE00010';
/** Elements from here on (float, double or integer Pixel Data, signatures) are not part of the header. */
const PIXEL_DATA_GROUP_END = '7FE00008';

export interface Part10Header {
  readonly meta: DataSet;
  readonly dataSet: DataSet;
  readonly transferSyntaxUid: string;
  readonly transferSyntax: DataSetEncoding;
  /** Position of the value of Pixel Data. */
  readonly pixelData: ValueLocation;
}

/** A file that is read from the beginning. */
export interface HeaderSource {
  /** Size of the whole file; Infinity as long as it is unknown. */
  readonly size: number;
  /** The first bytes; fewer if a file of unknown size ends earlier. */
  first(length: number): Promise<Uint8Array>;
}

/**
 * Reads increasingly long prefixes of the file until the header is complete, but never the pixels.
 * @throws DICOM_INVALID, TRANSFER_SYNTAX_UNSUPPORTED, and whatever the source throws
 */
export async function readPart10Header(
  source: HeaderSource,
  maxHeaderBytes: number,
  signal: AbortSignal | undefined,
  reserve?: ReserveHeader,
): Promise<Part10Header> {
  return readLonger(source, parseHeader, maxHeaderBytes, signal, reserve);
}

/**
 * Reads the data set of a file that need not hold pixels, and not what follows from them.
 * @throws like `readPart10Header`
 */
export async function readPart10DataSet(
  source: HeaderSource,
  maxHeaderBytes: number,
  signal: AbortSignal,
): Promise<DataSet> {
  const parse = (bytes: Uint8Array, total: number): DataSet =>
    parsePart10(bytes, total, PIXEL_DATA_GROUP_END).dataSet;
  return readLonger(source, parse, maxHeaderBytes, signal);
}

async function readLonger<T>(
  source: HeaderSource,
  parse: (bytes: Uint8Array, total: number) => T,
  maxHeaderBytes: number,
  signal: AbortSignal | undefined,
  reserve?: ReserveHeader,
): Promise<T> {
  let length = Math.min(FIRST_READ_BYTES, source.size);
  for (;;) {
    signal?.throwIfAborted();
    const room = await reserve?.(length, signal ?? NEVER);
    try {
      const bytes = await source.first(length);
      return parse(bytes, source.size);
    } catch (error) {
      // What was read is released before memory for more is reserved.
      room?.[Symbol.dispose]();
      if (!(error instanceof MoreBytesNeeded)) throw error;
      if (error.end > maxHeaderBytes)
        throw new StainError('DICOM_INVALID', `The DICOM header takes more than ${maxHeaderBytes} bytes.`, {
          data: { maxHeaderBytes },
        });
      length = Math.min(longerStart(error, length, maxHeaderBytes), source.size);
    }
  }
}

function parseHeader(bytes: Uint8Array, total: number): Part10Header {
  const { next: pixelData, ...header } = parsePart10(bytes, total, PIXEL_DATA_GROUP_END);
  if (pixelData?.tag !== PIXEL_DATA)
    throw new StainError('DICOM_INVALID', 'The instance holds no Pixel Data (7FE0,0010).');
  if ((pixelData.length === undefined) !== header.transferSyntax.encapsulated)
    throw new StainError(
      'DICOM_INVALID',
      `The Pixel Data do not match transfer syntax ${header.transferSyntaxUid}.`,
    );
  return { ...header, pixelData };
}

/**
 * Parses the beginning of a Part 10 file.
 * @param total size of the whole file; Infinity if unknown
 * @param until first tag that is left out
 * @throws MoreBytesNeeded if it continues after `bytes`; DICOM_INVALID, TRANSFER_SYNTAX_UNSUPPORTED
 */
export function parsePart10(
  bytes: Uint8Array,
  total: number,
  until: string,
): Omit<Part10Header, 'pixelData'> & { readonly next: ValueLocation | undefined } {
  if (!hasPart10Prefix(bytes)) throw new StainError('DICOM_INVALID', 'A file has no DICOM Part 10 prefix.');
  const { meta, end } = readFileMeta(bytes, META_START, total);
  const transferSyntaxUid = meta.string('TransferSyntaxUID');
  if (transferSyntaxUid === undefined)
    throw new StainError('DICOM_INVALID', 'The file meta information names no transfer syntax.');
  const transferSyntax = dataSetEncoding(transferSyntaxUid);
  const { explicitVr } = transferSyntax;
  const { dataSet, next } = readDataSet(bytes, { start: end, explicitVr, total, until });
  return { meta, dataSet, transferSyntaxUid, transferSyntax, next };
}

/** How many bytes to read next if those read so far were too few. */
export function longerStart({ end }: MoreBytesNeeded, length: number, limit: number): number {
  return Math.max(end, Math.min(length * 4, limit));
}
