/** A Part 10 file on disk, of any size: its header is in memory, its frames are read one by one. */
import { type FileHandle, open } from 'node:fs/promises';
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from './dataset.ts';
import { FileWindow } from './file-window.ts';
import { encapsulatedFrames, nativeFrames } from './frames-in-file.ts';
import { type ReserveHeader, readPart10Header } from './part10-header.ts';

const DEFAULT_MAX_HEADER_BYTES = 256e6;

export interface OpenOptions {
  readonly signal?: AbortSignal;
  /** Maximum size of a header, in bytes. Default 256 MB. */
  readonly maxHeaderBytes?: number;
  /**
   * Asked to reserve memory before the header, or more of it, is read; the file holds the reservation until it is
   * closed.
   */
  readonly reserve?: ReserveHeader;
  /** Frames are read here and there, so that not all of them have to be found at once. */
  readonly isReadInPart?: boolean;
}

export interface Part10File extends AsyncDisposable {
  /** File meta information (group 2). */
  readonly meta: DataSet;
  /** Everything before the pixel data. */
  readonly dataset: DataSet;
  readonly transferSyntaxUid: string;
  readonly sopInstanceUid: string;
  readonly numberOfFrames: number;
  /** Size of the whole file. */
  readonly byteLength: number;
  /**
   * The bytes of a frame: the codestream (including padding), or the uncompressed samples. @param index 0-based
   * @throws FRAME_INVALID
   */
  frame(index: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Size of what `frame` returns. @throws FRAME_INVALID */
  frameLength(index: number, signal?: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

/**
 * Reads the header and finds the frames; the pixels stay on disk.
 * @throws DICOM_INVALID, FRAME_INVALID, TRANSFER_SYNTAX_UNSUPPORTED
 */
export async function openPart10(path: string, options: OpenOptions = {}): Promise<Part10File> {
  const file = await open(path, 'r');
  try {
    return await describe(file, options);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function describe(
  file: FileHandle,
  { signal, maxHeaderBytes = DEFAULT_MAX_HEADER_BYTES, reserve, isReadInPart }: OpenOptions,
): Promise<Part10File> {
  using held = new DisposableStack();
  const { size } = await file.stat();
  const window = new FileWindow(file, size);
  const { meta, dataSet, transferSyntaxUid, pixelData } = await readPart10Header(
    { size, first: (length) => window.read(0, length) },
    maxHeaderBytes,
    signal,
    reserve && (async (bytes, waiting) => held.use(await reserve(bytes, waiting))),
  );
  const sopInstanceUid = dataSet.string('SOPInstanceUID');
  if (!sopInstanceUid) throw new StainError('DICOM_INVALID', 'The instance has no SOP Instance UID.');
  const numberOfFrames = dataSet.number('NumberOfFrames') ?? 1;
  if (!Number.isInteger(numberOfFrames) || numberOfFrames < 1)
    throw new StainError('DICOM_INVALID', `Number of Frames is ${numberOfFrames}.`);
  const closing = new AbortController();
  const located =
    pixelData.length === undefined
      ? await encapsulatedFrames(window, pixelData.offset, dataSet, numberOfFrames, {
          signal,
          isReadInPart,
          closed: closing.signal,
        })
      : nativeFrames(window, pixelData.offset, pixelData.length, dataSet, numberOfFrames);
  const requireFrame = (index: number): void => {
    if (!Number.isInteger(index) || index < 0 || index >= numberOfFrames)
      throw new StainError(
        'FRAME_INVALID',
        `There is no frame ${index + 1}; the instance has ${numberOfFrames}.`,
      );
  };
  const room = held.move();
  const close = (): Promise<void> => {
    room.dispose();
    closing.abort(new StainError('SHUTTING_DOWN', 'The file is closed.'));
    return file.close();
  };
  return {
    meta,
    dataset: dataSet,
    transferSyntaxUid,
    sopInstanceUid,
    numberOfFrames,
    byteLength: size,
    async frameLength(index, wanted) {
      requireFrame(index);
      return located.frameLength(index, wanted);
    },
    async frame(index, wanted) {
      requireFrame(index);
      return located.frame(index, wanted);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
