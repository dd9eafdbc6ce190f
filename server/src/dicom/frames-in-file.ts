/** Frames of the pixel data of a file, read one by one. */
import { untilAborted } from '../../../core/src/abortable.ts';
import { isWholeLength } from '../../../core/src/codec/frame-format.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from './dataset.ts';
import type { FileWindow } from './file-window.ts';
import { type FragmentIndex, indexFragments, readTable } from './fragment-index.ts';
import { ITEM_HEADER_BYTES, statedBorders, statedLength } from './offset-tables.ts';

/** No frame of a slide comes near this; it limits what a damaged length can make us allocate. */
const MAX_FRAME_BYTES = 512 * 1024 * 1024;

/** @param index 0-based, of a frame that there is */
export interface FramesInFile {
  /** @throws FRAME_INVALID */
  frame(index: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** Size of what `frame` returns. */
  frameLength(index: number, signal?: AbortSignal): Promise<number>;
}

export interface LocateOptions {
  readonly signal?: AbortSignal | undefined;
  /** Frames are read here and there: if a table says where, not every fragment is visited. */
  readonly isReadInPart?: boolean | undefined;
  /** Ends whatever goes on when the file is closed. */
  readonly closed: AbortSignal;
}

/**
 * @param position first byte of the value of Pixel Data
 * @throws DICOM_INVALID, FRAME_INVALID
 */
export async function encapsulatedFrames(
  file: FileWindow,
  position: number,
  dataSet: DataSet,
  numberOfFrames: number,
  { signal, isReadInPart, closed }: LocateOptions,
): Promise<FramesInFile> {
  const table = await readTable(file, position);
  const visit = async (wanted: AbortSignal | undefined): Promise<FramesInFile> => {
    const index = await indexFragments(file, table, dataSet, numberOfFrames, wanted);
    file.forget();
    return visitedFrames(file, index);
  };
  const borders = isReadInPart && (await statedBorders(file, table, dataSet, numberOfFrames, signal));
  if (!borders) return visit(signal);
  file.forget();
  return statedFrames(file, borders, () => visit(closed));
}

/** @param visit finds the frames without the table, which was wrong about one of them */
function statedFrames(
  file: FileWindow,
  borders: Float64Array,
  visit: () => Promise<FramesInFile>,
): FramesInFile {
  let visiting: Promise<FramesInFile> | undefined;
  let visited: FramesInFile | undefined;
  const allVisited = (signal: AbortSignal | undefined): Promise<FramesInFile> => {
    if (!visiting) {
      visiting = visit();
      visiting.then(
        (found) => {
          visited = found;
        },
        // Damage is there to stay; whatever else it was may pass.
        (error: unknown) => {
          if (!(error instanceof StainError)) visiting = undefined;
        },
      );
    }
    return signal ? untilAborted(visiting, signal) : visiting;
  };
  return {
    async frameLength(index, signal) {
      const stated = visited ? undefined : await statedLength(file, borders, index);
      return stated ?? (await allVisited(signal)).frameLength(index);
    },
    async frame(index, signal) {
      const length = visited ? undefined : await statedLength(file, borders, index);
      // Without a length the table is wrong here, and perhaps elsewhere; or else the frame is damaged, and others are not.
      if (length === undefined) return (await allVisited(signal)).frame(index);
      requireLength(index, length);
      return file.readOn(borders[index]! + ITEM_HEADER_BYTES, length);
    },
  };
}

function visitedFrames(file: FileWindow, index: FragmentIndex): FramesInFile {
  const lengthOf = (frame: number): number =>
    index.fragments(frame).reduce((sum, { length }) => sum + length, 0);
  return {
    frameLength: async (frame) => lengthOf(frame),
    async frame(frame) {
      const length = lengthOf(frame);
      requireLength(frame, length);
      const [first, ...others] = index.fragments(frame);
      if (others.length === 0) return file.readOn(first!.offset, length);
      const bytes = new Uint8Array(length);
      let at = 0;
      // One after the other: a malicious frame may have millions of fragments.
      for (const fragment of index.fragments(frame)) {
        bytes.set(await file.read(fragment.offset, fragment.length), at);
        at += fragment.length;
      }
      return bytes;
    },
  };
}

/** @throws DICOM_INVALID, FRAME_INVALID */
export function nativeFrames(
  file: FileWindow,
  position: number,
  available: number,
  dataSet: DataSet,
  numberOfFrames: number,
): FramesInFile {
  const length = nativeFrameLength(dataSet, numberOfFrames, available);
  if (position + available > file.size)
    throw new StainError('DICOM_INVALID', `The file ends at byte ${file.size}, before its Pixel Data end.`);
  return {
    frameLength: async () => length,
    async frame(index) {
      requireLength(index, length);
      return file.readOn(position + index * length, length);
    },
  };
}

function requireLength(frame: number, length: number): void {
  if (length === 0 || length > MAX_FRAME_BYTES)
    throw new StainError('FRAME_INVALID', `Frame ${frame + 1} has ${length} bytes.`, {
      data: { frame, length },
    });
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
