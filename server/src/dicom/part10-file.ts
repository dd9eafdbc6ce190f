/** A Part 10 file on disk, of any size: its header is in memory, its frames are read one by one. */
import { type FileHandle, open } from 'node:fs/promises';
import { isWholeLength } from '../../../core/src/codec/frame-format.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from './dataset.ts';
import { FileWindow } from './file-window.ts';
import { type Fragment, indexFragments } from './fragment-index.ts';
import { type ReserveHeader, readPart10Header } from './part10-header.ts';

/** No frame of a slide comes near this; it limits what a damaged length can make us allocate. */
const MAX_FRAME_BYTES = 512 * 1024 * 1024;
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
  frame(index: number): Promise<Uint8Array>;
  /** Size of what `frame` returns. @throws FRAME_INVALID */
  frameLength(index: number): number;
  close(): Promise<void>;
}

/**
 * Reads the header and locates every frame; the pixels stay on disk.
 * @throws DICOM_INVALID, FRAME_INVALID, TRANSFER_SYNTAX_UNSUPPORTED
 */
export async function openPart10(
  path: string,
  { signal, maxHeaderBytes, reserve }: OpenOptions = {},
): Promise<Part10File> {
  const file = await open(path, 'r');
  try {
    return await describe(file, maxHeaderBytes ?? DEFAULT_MAX_HEADER_BYTES, signal, reserve);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function describe(
  file: FileHandle,
  maxHeaderBytes: number,
  signal: AbortSignal | undefined,
  reserve: ReserveHeader | undefined,
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
  let fragmentsOf: (index: number) => readonly Fragment[];
  if (pixelData.length === undefined) {
    const index = await indexFragments(window, pixelData.offset, dataSet, numberOfFrames, signal);
    window.forget();
    fragmentsOf = (frame) => index.fragments(frame);
  } else {
    const length = nativeFrameLength(dataSet, numberOfFrames, pixelData.length);
    if (pixelData.offset + pixelData.length > size)
      throw new StainError('DICOM_INVALID', `The file ends at byte ${size}, before its Pixel Data end.`);
    fragmentsOf = (frame) => [{ offset: pixelData.offset + frame * length, length }];
  }

  const requireFrame = (index: number): readonly Fragment[] => {
    if (!Number.isInteger(index) || index < 0 || index >= numberOfFrames)
      throw new StainError(
        'FRAME_INVALID',
        `There is no frame ${index + 1}; the instance has ${numberOfFrames}.`,
      );
    return fragmentsOf(index);
  };
  const frameLength = (index: number): number =>
    requireFrame(index).reduce((sum, { length }) => sum + length, 0);
  const room = held.move();
  const close = (): Promise<void> => {
    room.dispose();
    return file.close();
  };
  return {
    meta,
    dataset: dataSet,
    transferSyntaxUid,
    sopInstanceUid,
    numberOfFrames,
    byteLength: size,
    frameLength,
    async frame(index) {
      const length = frameLength(index);
      if (length === 0 || length > MAX_FRAME_BYTES)
        throw new StainError('FRAME_INVALID', `Frame ${index + 1} has ${length} bytes.`, {
          data: { frame: index, length },
        });
      const [first, ...others] = requireFrame(index);
      if (others.length === 0) return window.readOn(first!.offset, length);
      const bytes = new Uint8Array(length);
      let at = 0;
      // One after the other: a malicious frame may have millions of fragments.
      for (const fragment of requireFrame(index)) {
        bytes.set(await window.read(fragment.offset, fragment.length), at);
        at += fragment.length;
      }
      return bytes;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Size of one uncompressed frame (PS3.5 section 8.1.1). */
function nativeFrameLength(dataSet: DataSet, numberOfFrames: number, available: number): number {
  const size = (keyword: string): number => dataSet.number(keyword) ?? 0;
  const whole = dataSet.number('SamplesPerPixel') ?? 1;
  /** Size of one sample per pixel. */
  const plane = size('Rows') * size('Columns') * (size('BitsAllocated') / 8);
  // Two chrominance samples for every two pixels: on average two samples per pixel. Frames decompressed by an archive
  // keep that name but have all samples. Any other length means that some are missing.
  const isNamed = dataSet.string('PhotometricInterpretation') === 'YBR_FULL_422';
  const length = plane * (isNamed && isWholeLength(available, plane * 2 * numberOfFrames) ? 2 : whole);
  if (!Number.isInteger(length) || length <= 0)
    throw new StainError('DICOM_INVALID', 'Rows, Columns or Bits Allocated is missing or zero.');
  if (length * numberOfFrames > available)
    throw new StainError(
      'FRAME_INVALID',
      `${numberOfFrames} frames of ${length} bytes are announced, but the Pixel Data have ${available} bytes.`,
      { data: { numberOfFrames, frameBytes: length, available } },
    );
  return length;
}
