/**
 * Reads the header of a DICOM file, or the part of it that the index needs, and nothing behind it. Unlike
 * `openPart10` it takes files without pixels too: an archive holds reports and annotations beside the slides.
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { DataSet } from '../dicom/dataset.ts';
import { MoreBytesNeeded, readDataSet, readFileMeta } from '../dicom/dataset-reader.ts';
import { transferSyntaxOf } from '../dicom/transfer-syntax.ts';
import { StainError } from '../errors.ts';

export interface Header {
  /** File meta information, group 0002. */
  readonly meta: DataSet;
  readonly dataset: DataSet;
  readonly transferSyntaxUid: string;
}

const PIXEL_DATA = '7FE00010';
const FIRST_READ_BYTES = 64 * 1024;
const PREAMBLE_BYTES = 128;
/** Where the prefix DICM ends and the file meta information begins. */
const META_START = 132;

/** The first 132 bytes say whether a file is DICOM Part 10. */
export async function isDicomFile(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    return hasPrefix(await readStart(file, META_START));
  } finally {
    await file.close();
  }
}

/**
 * The length of a header is known only once it is read, so ever longer starts of the file are tried.
 * @param maxHeaderBytes per-frame groups of a few hundred thousand frames take 100 MB
 * @param until first tag that is left out
 * @throws DICOM_INVALID for a file that is no DICOM Part 10, is damaged, or has a longer header;
 *   TRANSFER_SYNTAX_UNSUPPORTED for deflated and big endian files
 */
export async function readHeader(path: string, maxHeaderBytes: number, until = PIXEL_DATA): Promise<Header> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    for (let length = FIRST_READ_BYTES; ; ) {
      const start = await readStart(file, Math.min(length, size));
      try {
        return parse(start, size, until);
      } catch (error) {
        if (!(error instanceof MoreBytesNeeded)) throw error;
        if (error.end > maxHeaderBytes)
          throw new StainError('DICOM_INVALID', `A file has a header of more than ${maxHeaderBytes} bytes.`);
        length = Math.max(error.end, Math.min(length * 4, maxHeaderBytes));
      }
    }
  } finally {
    await file.close();
  }
}

function parse(start: Buffer, size: number, until: string): Header {
  if (!hasPrefix(start)) throw new StainError('DICOM_INVALID', 'A file has no DICOM Part 10 prefix.');
  const { meta, end } = readFileMeta(start, META_START, size);
  const transferSyntaxUid = meta.string('TransferSyntaxUID');
  if (transferSyntaxUid === undefined)
    throw new StainError('DICOM_INVALID', 'A file does not name its transfer syntax.');
  const { explicitVr } = transferSyntaxOf(transferSyntaxUid);
  const { dataSet: dataset } = readDataSet(start, { start: end, explicitVr, total: size, until });
  return { meta, dataset, transferSyntaxUid };
}

function hasPrefix(start: Buffer): boolean {
  return start.length >= META_START && start.toString('latin1', PREAMBLE_BYTES, META_START) === 'DICM';
}

async function readStart(file: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
