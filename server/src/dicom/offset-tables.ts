/**
 * Where an offset table says that the frames of encapsulated pixel data lie (PS3.5 A.4). Without it every fragment has to
 * be visited, and with them nearly all of a large file. Tables are often wrong: some frames are checked before a table is
 * used, and each as it is read.
 */
import { evenlySpaced } from '../../../core/src/image/evenly-spaced.ts';
import type { DataSet } from './dataset.ts';
import type { FileWindow } from './file-window.ts';

export const ITEM = 0xe000fffe;
export const SEQUENCE_END = 0xe0ddfffe;
export const ITEM_HEADER_BYTES = 8;

/** The fragments of fewer frames are visited as soon as a table is checked. */
const FEW_FRAMES = 1000;
/** Number of frames that are checked before a table is used. */
const CHECKED = 16;
/** A frame that is larger, or in more fragments, is not looked for by a table. */
const MAX_FRAME_BYTES = 16e6;
const MAX_FRAGMENTS = 64;

/**
 * Positions in a file at which frames begin, and at which the last one ends.
 * @param table value of the Basic Offset Table
 * @returns undefined if no table can be used
 */
export async function statedBorders(
  file: FileWindow,
  table: { readonly offset: number; readonly length: number },
  dataSet: DataSet,
  numberOfFrames: number,
): Promise<Float64Array | undefined> {
  if (numberOfFrames < FEW_FRAMES) return undefined;
  const offsets = extendedTable(dataSet, numberOfFrames) ?? (await basicTable(file, table, numberOfFrames));
  if (offsets?.[0] !== 0) return undefined;
  const borders = new Float64Array(numberOfFrames + 1);
  for (const [frame, offset] of offsets.entries()) borders[frame] = table.offset + table.length + offset;
  const last = borders[numberOfFrames - 1]!;
  const rest = file.size - last;
  if (!(rest >= 0 && rest <= MAX_FRAME_BYTES)) return undefined;
  borders[numberOfFrames] = last + (fragmentsIn(await file.read(last, rest))?.end ?? Number.NaN);
  for (let frame = 0; frame < numberOfFrames; frame++) {
    const length = borders[frame + 1]! - borders[frame]!;
    if (!(length >= ITEM_HEADER_BYTES && length <= MAX_FRAME_BYTES)) return undefined;
  }
  for (const frame of evenlySpaced([...offsets.keys()], CHECKED)) {
    const from = borders[frame]!;
    if (!frameIn(await file.read(from, borders[frame + 1]! - from))) return undefined;
  }
  return borders;
}

/** The bytes of a frame, perhaps not copied; undefined if what lies between its borders is not whole fragments. */
export function frameIn(between: Uint8Array): Uint8Array | undefined {
  const found = fragmentsIn(between);
  if (found?.end !== between.length) return undefined;
  return found.parts.length === 1 ? found.parts[0] : new Uint8Array(Buffer.concat(found.parts));
}

/** Fragments one after the other, and where the sequence or the bytes end. */
function fragmentsIn(bytes: Uint8Array): { readonly parts: Uint8Array[]; readonly end: number } | undefined {
  const view = viewOf(bytes);
  const tagAt = (at: number): number =>
    at + ITEM_HEADER_BYTES <= bytes.length ? view.getUint32(at, true) : Number.NaN;
  const parts: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length && tagAt(at) !== SEQUENCE_END) {
    const from = at + ITEM_HEADER_BYTES;
    if (tagAt(at) !== ITEM || parts.length === MAX_FRAGMENTS) return undefined;
    at = from + view.getUint32(at + 4, true);
    if (at > bytes.length) return undefined;
    parts.push(bytes.subarray(from, at));
    // A fragment of odd length may be followed by a padding byte that was not counted.
    const isOdd = (at - from) % 2 === 1;
    if (isOdd && at < bytes.length && ![ITEM, SEQUENCE_END].includes(tagAt(at))) at++;
  }
  return parts.length > 0 ? { parts, end: at } : undefined;
}

/** Undefined unless it has exactly one entry per frame. */
export function extendedTable(dataSet: DataSet, numberOfFrames: number): number[] | undefined {
  const bytes = dataSet.bytes('ExtendedOffsetTable');
  if (bytes?.length !== 8 * numberOfFrames) return undefined;
  const view = viewOf(bytes);
  return Array.from({ length: numberOfFrames }, (_, i) => Number(view.getBigUint64(8 * i, true)));
}

/** Undefined unless it has exactly one entry per frame; otherwise it is not read, however long it is. */
export async function basicTable(
  file: FileWindow,
  { offset, length }: { readonly offset: number; readonly length: number },
  numberOfFrames: number,
): Promise<number[] | undefined> {
  if (length !== 4 * numberOfFrames) return undefined;
  const view = viewOf(await file.read(offset, length));
  return Array.from({ length: numberOfFrames }, (_, i) => view.getUint32(4 * i, true));
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
