/** Reads the header of a DICOM file, everything before Pixel Data, and nothing behind it. */
import { type FileHandle, open } from 'node:fs/promises';
import dicomParser from 'dicom-parser';
import { StainError } from '../errors.ts';
import { type ParsedDataSet, parseHeader } from './dcmjs.ts';

export interface Header {
  /** File meta information, group 0002. */
  readonly meta: ParsedDataSet;
  readonly dataset: ParsedDataSet;
}

const PIXEL_DATA = 'x7fe00010';
const PIXEL_DATA_TAG = '7FE00010';
const FIRST_READ_BYTES = 64 * 1024;
/** Where the prefix DICM ends. */
const PREAMBLE_BYTES = 132;

/** The first 132 bytes say whether a file is DICOM Part 10. */
export async function isDicomFile(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    return hasPrefix(await readStart(file, PREAMBLE_BYTES));
  } finally {
    await file.close();
  }
}

/**
 * The length of the header is known only once it is parsed, so ever longer starts of the file are tried.
 * @param maxHeaderBytes per-frame groups of a few hundred thousand frames take 100 MB
 * @param lastTag what lies behind it is left out, and the time to parse it saved
 * @throws DICOM_INVALID for a file that is no DICOM Part 10, is damaged, or has a longer header
 */
export async function readHeader(path: string, maxHeaderBytes: number, lastTag = PIXEL_DATA_TAG): Promise<Header> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    for (let length = FIRST_READ_BYTES; ; length *= 4) {
      const isWhole = length >= size;
      const start = await readStart(file, Math.min(length, size, maxHeaderBytes));
      if (!hasPrefix(start)) throw new StainError('DICOM_INVALID', 'A file has no DICOM Part 10 prefix.');
      const end = endOfHeader(start, isWhole && size <= maxHeaderBytes);
      if (end !== undefined) {
        const { meta, dict } = parseHeader(exactBuffer(start.subarray(0, end)), lastTag);
        return { meta, dataset: dict };
      }
      if (length >= maxHeaderBytes) throw new StainError('DICOM_INVALID', `A file has a header of more than ${maxHeaderBytes} bytes.`);
    }
  } finally {
    await file.close();
  }
}

/** Offset behind the Pixel Data element's tag, VR and length; undefined where the start is too short to hold it. */
function endOfHeader(start: Uint8Array, isWhole: boolean): number | undefined {
  try {
    const { elements } = dicomParser.parseDicom(start, { untilTag: PIXEL_DATA, inflater: refuseDeflated });
    const pixelData = elements[PIXEL_DATA];
    if (pixelData) return pixelData.dataOffset;
    return isWhole ? start.length : undefined;
  } catch (error) {
    // A parser that runs over the end of a start asks for more; of a whole file, it complains.
    if (!isWhole) return undefined;
    throw new StainError('DICOM_INVALID', 'A DICOM file is damaged.', { cause: error });
  }
}

/** Deflated data sets are not used for images, and a small one can unfold to any size. */
function refuseDeflated(): never {
  throw new StainError('TRANSFER_SYNTAX_UNSUPPORTED', 'Deflated data sets are not read.');
}

function hasPrefix(start: Buffer): boolean {
  return start.length >= PREAMBLE_BYTES && start.toString('latin1', 128, PREAMBLE_BYTES) === 'DICM';
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

function exactBuffer(bytes: Buffer): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
}
