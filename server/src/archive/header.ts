/**
 * Reads the header of a DICOM file, or the part of it that the index needs, and nothing after it. Unlike `openPart10`
 * it also accepts files without pixels: an archive holds reports and annotations besides slides.
 */
import { constants, createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { MoreBytesNeeded, type ValueLocation } from '../dicom/dataset-reader.ts';
import { deflatedStart, inflateFile } from '../dicom/deflated.ts';
import { hasPart10Prefix, META_START } from '../dicom/file-meta.ts';
import { FIRST_READ_BYTES, longerStart, PIXEL_DATA, parsePart10 } from '../dicom/part10-header.ts';
import { HeaderRoom } from './header-room.ts';

export interface Header {
  /** File meta information, group 0002. */
  readonly meta: DataSet;
  readonly dataset: DataSet;
  /** Transfer syntax of the file. */
  readonly transferSyntaxUid: string;
  /** Position of the value of Pixel Data, in an inflated file if this one is deflated. */
  readonly pixelData: ValueLocation | undefined;
}

/** Reads headers for all requests of an archive; a header occupies memory until its user is done with it. */
export class HeaderReader {
  readonly maxHeaderBytes: number;
  readonly room: HeaderRoom;

  /** @param maxHeaderBytes the per-frame groups of a few hundred thousand frames take 100 MB */
  constructor(maxHeaderBytes: number) {
    this.maxHeaderBytes = maxHeaderBytes;
    this.room = new HeaderRoom(maxHeaderBytes);
  }

  /**
   * Runs `work` with the header of a file. The length of a header is known only once it has been read, so increasingly
   * long prefixes of the file are tried; nothing is held between two attempts.
   * @param until first tag that is left out
   * @throws DICOM_INVALID for a file that is not DICOM Part 10, is damaged, or has a longer header;
   * TRANSFER_SYNTAX_UNSUPPORTED for big-endian files; the reason of the signal; and whatever `work` throws
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
        throw new StainError('DICOM_INVALID', `The header of a file exceeds ${this.maxHeaderBytes} bytes.`);
      length = Math.min(longerStart(header, length, this.maxHeaderBytes), found.size);
    }
  }
}

/** The first 132 bytes tell whether a file is DICOM Part 10. */
export async function isDicomFile(path: string): Promise<boolean> {
  return hasPart10Prefix((await readStart(path, META_START)).start);
}

/** The beginning of a file, from which its header is read. */
interface Start {
  readonly start: Buffer;
  /** Total size in bytes. */
  readonly size: number;
  readonly isInflated?: boolean;
}

/** Returns MoreBytesNeeded if the header continues after `start`. */
function parse({ start, size, isInflated }: Start, until: string): Header | MoreBytesNeeded {
  try {
    const { meta, dataSet, transferSyntaxUid, next } = parsePart10(start, size, until);
    return {
      meta,
      dataset: dataSet,
      transferSyntaxUid: isInflated ? DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN : transferSyntaxUid,
      pixelData: next?.tag === PIXEL_DATA ? next : undefined,
    };
  } catch (error) {
    if (error instanceof MoreBytesNeeded) return error;
    throw error;
  }
}

/**
 * The first bytes of a file, and its size.
 * @throws DICOM_INVALID for anything but a regular file: opened normally, a pipe would wait for a writer for ever
 */
async function readStart(path: string, length: number): Promise<Start> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const found = await file.stat();
    if (!found.isFile())
      throw new StainError('DICOM_INVALID', 'Something in the folder is not a regular file.');
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

/** The first bytes of a deflated file, inflated. The inflated size is known only if it is less than `length`. */
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
