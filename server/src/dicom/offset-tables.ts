/**
 * Where an offset table says that the frames of encapsulated pixel data lie (PS3.5 A.4). Without it every fragment has to
 * be visited, and with them nearly all of a large file. Tables are often wrong: some frames are checked before a table is
 * used, and each as it is read.
 */
import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import { LazyList } from '../../../core/src/lazy-list.ts';
import type { DataSet } from './dataset.ts';
import type { FileWindow } from './file-window.ts';

export const ITEM = 0xe000fffe;
export const SEQUENCE_END = 0xe0ddfffe;
export const ITEM_HEADER_BYTES = 8;

/** The fragments of fewer frames are visited as soon as a table is checked; no slide has more. */
const [FEW_FRAMES, MAX_FRAMES] = [1000, 2_000_000];
/** Number of frames that are checked before a table is used. */
const CHECKED = 16;

/**
 * Positions in a file at which frames begin, and at which the last one ends.
 * @param table value of the Basic Offset Table
 * @returns undefined if no table can be used, as where frames have several fragments
 */
export async function statedBorders(
  file: FileWindow,
  table: { readonly offset: number; readonly length: number },
  dataSet: DataSet,
  numberOfFrames: number,
  signal: AbortSignal | undefined,
): Promise<Float64Array | undefined> {
  if (numberOfFrames < FEW_FRAMES || numberOfFrames > MAX_FRAMES) return undefined;
  const offsets = extendedTable(dataSet, numberOfFrames) ?? (await basicTable(file, table, numberOfFrames));
  if (offsets?.[0] !== 0) return undefined;
  const borders = new Float64Array(numberOfFrames + 1);
  for (let frame = 0; frame < numberOfFrames; frame++)
    borders[frame] = table.offset + table.length + offsets[frame]!;
  const last = borders[numberOfFrames - 1]!;
  const lastLength = last < file.size ? await fragmentLength(file, last) : undefined;
  if (lastLength === undefined) return undefined;
  borders[numberOfFrames] = last + ITEM_HEADER_BYTES + lastLength;
  if (!(await isEnd(file, borders[numberOfFrames]!)) || !areInOrder(borders, dataSet)) return undefined;
  const all = new LazyList(numberOfFrames, (frame) => frame);
  for (const frame of evenlySpaced(all, CHECKED)) {
    signal?.throwIfAborted();
    if ((await statedLength(file, borders, frame)) === undefined) return undefined;
  }
  return borders;
}

/** Size of a frame, from the header of its fragment; undefined if that does not end where the next frame begins. */
export async function statedLength(
  file: FileWindow,
  borders: Float64Array,
  frame: number,
): Promise<number | undefined> {
  const between = borders[frame + 1]! - borders[frame]! - ITEM_HEADER_BYTES;
  const length = await fragmentLength(file, borders[frame]!);
  return length !== undefined && isWhole(between, length) ? length : undefined;
}

/** A fragment of odd length may be followed by a padding byte that was not counted. */
function isWhole(between: number, length: number): boolean {
  return between === length || (length % 2 === 1 && between === length + 1);
}

/** Undefined if no fragment begins here, or if it goes beyond the end of the file. */
async function fragmentLength(file: FileWindow, position: number): Promise<number | undefined> {
  if (position + ITEM_HEADER_BYTES > file.size) return undefined;
  const view = viewOf(await file.read(position, ITEM_HEADER_BYTES));
  const length = view.getUint32(4, true);
  const isInside = position + ITEM_HEADER_BYTES + length <= file.size;
  return view.getUint32(0, true) === ITEM && isInside ? length : undefined;
}

/** Whether the sequence ends here, or after a padding byte. Some writers omit the delimiter. */
async function isEnd(file: FileWindow, position: number): Promise<boolean> {
  const rest = viewOf(await file.read(position, Math.min(5, file.size - position)));
  const isDelimiter = (at: number): boolean =>
    rest.byteLength >= at + 4 && rest.getUint32(at, true) === SEQUENCE_END;
  return rest.byteLength <= 1 || isDelimiter(0) || isDelimiter(1);
}

/** Whether every frame has room for a fragment, of the length that the header states if it states any. */
function areInOrder(borders: Float64Array, dataSet: DataSet): boolean {
  const count = borders.length - 1;
  const bytes = dataSet.bytes('ExtendedOffsetTableLengths');
  const lengths = bytes?.length === 8 * count ? viewOf(bytes) : undefined;
  for (let frame = 0; frame < count; frame++) {
    const between = borders[frame + 1]! - borders[frame]! - ITEM_HEADER_BYTES;
    // A padding byte is not part of the length.
    const beyond = lengths ? between - Number(lengths.getBigUint64(8 * frame, true)) : 0;
    if (between < 0 || beyond < 0 || beyond > 1) return false;
  }
  return true;
}

/** Undefined unless it has exactly one entry per frame. */
export function extendedTable(dataSet: DataSet, numberOfFrames: number): Float64Array | undefined {
  const bytes = dataSet.bytes('ExtendedOffsetTable');
  if (bytes?.length !== 8 * numberOfFrames) return undefined;
  const view = viewOf(bytes);
  return filled(numberOfFrames, (i) => Number(view.getBigUint64(8 * i, true)));
}

/** Undefined unless it has exactly one entry per frame; otherwise it is not read, however long it is. */
export async function basicTable(
  file: FileWindow,
  { offset, length }: { readonly offset: number; readonly length: number },
  numberOfFrames: number,
): Promise<Float64Array | undefined> {
  if (length !== 4 * numberOfFrames) return undefined;
  const view = viewOf(await file.read(offset, length));
  return filled(numberOfFrames, (i) => view.getUint32(4 * i, true));
}

function filled(length: number, valueAt: (index: number) => number): Float64Array {
  const values = new Float64Array(length);
  for (let i = 0; i < length; i++) values[i] = valueAt(i);
  return values;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
