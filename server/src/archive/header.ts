/**
 * Reads the header of a DICOM file, or the part of it that the index needs, and nothing behind it. Unlike
 * `openPart10` it takes files without pixels too: an archive holds reports and annotations beside the slides.
 */
import { constants, createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { DataSet } from '../dicom/dataset.ts';
import { MoreBytesNeeded, readDataSet, readFileMeta } from '../dicom/dataset-reader.ts';
import { deflatedStart, inflateFile } from '../dicom/deflated.ts';
import { hasPart10Prefix, META_START } from '../dicom/file-meta.ts';
import { DEFLATED, transferSyntaxOf } from '../dicom/transfer-syntax.ts';
import { StainError } from '../errors.ts';
import { HeaderRoom } from './header-room.ts';

export interface Header {
  /** File meta information, group 0002. */
  readonly meta: DataSet;
  readonly dataset: DataSet;
  /** As the file is stored. */
  readonly transferSyntaxUid: string;
}

const PIXEL_DATA = '7FE00010';
const FIRST_READ_BYTES = 64 * 1024;

/** Reads headers for all requests of an archive; what is read takes room until its user is done with it. */
export class HeaderReader {
  readonly maxHeaderBytes: number;
  readonly room: HeaderRoom;

  /** @param maxHeaderBytes per-frame groups of a few hundred thousand frames take 100 MB */
  constructor(maxHeaderBytes: number) {
    this.maxHeaderBytes = maxHeaderBytes;
    this.room = new HeaderRoom(maxHeaderBytes);
  }

  /**
   * Runs `work` with the header of a file. The length of a header is known only once it is read, so ever longer starts of
   * the file are tried; between two tries nothing is held.
   * @param until first tag that is left out
   * @throws DICOM_INVALID for a file that is no DICOM Part 10, is damaged, or has a longer header;
   *   TRANSFER_SYNTAX_UNSUPPORTED for big endian files; the reason of the signal; and what `work` throws
   */
  async with<T>(
    path: string,
    signal: AbortSignal,
    work: (header: Header) => T | Promise<T>,
    until = PIXEL_DATA,
  ): Promise<T> {
    let read = readStart;
    for (let length = Math.min(FIRST_READ_BYTES, this.maxHeaderBytes); ; ) {
      using _room = await this.room.reserve(length, signal);
      let found = await read(path, length);
      if (deflatedStart(found.start)) {
        read = readInflatedStart;
        found = await read(path, length);
      }
      const header = parse(found, until);
      if (!(header instanceof MoreBytesNeeded)) return await work(header);
      if (header.end > this.maxHeaderBytes)
        throw new StainError(
          'DICOM_INVALID',
          `A file has a header of more than ${this.maxHeaderBytes} bytes.`,
        );
      length = Math.min(Math.max(header.end, length * 4), found.size, this.maxHeaderBytes);
    }
  }
}

/** The first 132 bytes say whether a file is DICOM Part 10. */
export async function isDicomFile(path: string): Promise<boolean> {
  return hasPart10Prefix((await readStart(path, META_START)).start);
}

/** What a header is read from. */
interface Start {
  readonly start: Buffer;
  /** Bytes in all. */
  readonly size: number;
  readonly isInflated?: boolean;
}

/** MoreBytesNeeded where the header goes on behind `start`. */
function parse({ start, size, isInflated }: Start, until: string): Header | MoreBytesNeeded {
  if (!hasPart10Prefix(start)) throw new StainError('DICOM_INVALID', 'A file has no DICOM Part 10 prefix.');
  try {
    const { meta, end } = readFileMeta(start, META_START, size);
    const transferSyntaxUid = meta.string('TransferSyntaxUID');
    if (transferSyntaxUid === undefined)
      throw new StainError('DICOM_INVALID', 'A file does not name its transfer syntax.');
    const { explicitVr } = transferSyntaxOf(transferSyntaxUid);
    const { dataSet: dataset } = readDataSet(start, { start: end, explicitVr, total: size, until });
    return { meta, dataset, transferSyntaxUid: isInflated ? DEFLATED : transferSyntaxUid };
  } catch (error) {
    if (error instanceof MoreBytesNeeded) return error;
    throw error;
  }
}

/**
 * The first bytes of a file, and how many it has.
 * @throws DICOM_INVALID for what is no file: opened in the ordinary way, a pipe would wait for ever for who writes into it
 */
async function readStart(path: string, length: number): Promise<Start> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new StainError('DICOM_INVALID', 'Something in the folder is no file.');
    const bytes = Buffer.alloc(Math.min(length, found.size));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return { start: bytes.subarray(0, filled), size: found.size };
  } finally {
    await file.close();
  }
}

/** The first bytes of a deflated file as it is when inflated. How many there are in all is known only where that is less. */
async function readInflatedStart(path: string, length: number): Promise<Start> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  for await (const chunk of inflateFile(createReadStream(path))) {
    bytes.set(chunk.subarray(0, length - filled), filled);
    filled = Math.min(length, filled + chunk.length);
    if (filled === length) return { start: bytes, size: Number.POSITIVE_INFINITY, isInflated: true };
  }
  return { start: bytes.subarray(0, filled), size: filled, isInflated: true };
}
