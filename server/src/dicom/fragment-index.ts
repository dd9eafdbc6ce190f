/** Positions of the fragments of encapsulated pixel data, and which of them make up a frame (PS3.5 A.4). */
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from './dataset.ts';
import type { FileWindow } from './file-window.ts';
import { basicTable, extendedTable, ITEM, ITEM_HEADER_BYTES, SEQUENCE_END, viewOf } from './offset-tables.ts';

/** Twice the number of frames in the largest slide. Fragments may be empty, so the file size sets no limit. */
const MAX_FRAGMENTS = 4_000_000;

/** First two bytes of a frame: JPEG SOI and JPEG 2000 SOC. */
const CODESTREAM_STARTS = new Set([0xffd8, 0xff4f]);

export interface Fragment {
  /** Position of the fragment's first byte in the file, after its item header. */
  readonly offset: number;
  readonly length: number;
}

/** The fragments of every frame. Memory: 12 bytes per fragment and 4 per frame. */
export class FragmentIndex {
  readonly #offsets: Float64Array;
  readonly #lengths: Uint32Array;
  /** Index of each frame's first fragment, and at the end the number of fragments. */
  readonly #starts: Uint32Array;

  constructor(offsets: Float64Array, lengths: Uint32Array, starts: Uint32Array) {
    this.#offsets = offsets;
    this.#lengths = lengths;
    this.#starts = starts;
  }

  fragments(frame: number): Fragment[] {
    const [start, end] = [this.#starts[frame]!, this.#starts[frame + 1]!];
    return Array.from({ length: end - start }, (_, i) => ({
      offset: this.#offsets[start + i]!,
      length: this.#lengths[start + i]!,
    }));
  }
}

/**
 * Walks the item headers. Offset tables count only if a frame has several fragments: 32-bit tables of large files are
 * often wrong, and once all fragments are known they add nothing with one fragment per frame.
 * @param table value of the Basic Offset Table
 * @throws DICOM_INVALID, FRAME_INVALID
 */
export async function indexFragments(
  file: FileWindow,
  table: Fragment,
  dataSet: DataSet,
  numberOfFrames: number,
  signal: AbortSignal | undefined,
): Promise<FragmentIndex> {
  const firstItem = table.offset + table.length;
  const { offsets, lengths } = await walk(file, firstItem, signal);
  const count = offsets.length;
  if (count < numberOfFrames)
    throw new StainError(
      'FRAME_INVALID',
      `${numberOfFrames} frames are announced, but there are ${count} fragments.`,
      {
        data: { numberOfFrames, fragments: count },
      },
    );
  const starts =
    (count === numberOfFrames || numberOfFrames === 1
      ? Uint32Array.from({ length: numberOfFrames }, (_, i) => i)
      : undefined) ??
    startsFromTable(extendedTable(dataSet, numberOfFrames), offsets, firstItem) ??
    startsFromTable(await basicTable(file, table, numberOfFrames), offsets, firstItem) ??
    (await startsFromCodestreams(file, offsets, lengths, numberOfFrames, signal));
  if (!starts)
    throw new StainError(
      'FRAME_INVALID',
      `${count} fragments cannot be assigned to ${numberOfFrames} frames.`,
    );
  const borders = new Uint32Array(numberOfFrames + 1);
  borders.set(starts);
  borders[numberOfFrames] = count;
  return new FragmentIndex(offsets, lengths, borders);
}

/**
 * For files whose frames need not be found. Without a sequence delimiter, only the number of frames tells whether
 * fragments are missing.
 * @param position first byte of the value of Pixel Data
 * @throws DICOM_INVALID if the file ends within the fragments, or before all frames have one
 */
export async function requireWholeFragments(
  file: FileWindow,
  position: number,
  numberOfFrames: number,
  signal: AbortSignal,
): Promise<void> {
  const table = await readTable(file, position);
  const { offsets, isDelimited } = await walk(file, table.offset + table.length, signal);
  if (!isDelimited && offsets.length < numberOfFrames)
    invalid('the file ends before all frames have a fragment', file.size);
}

/** Value of the Basic Offset Table. @param position first byte of the value of Pixel Data @throws DICOM_INVALID */
export async function readTable(file: FileWindow, position: number): Promise<Fragment> {
  return (await readItem(file, position)) ?? invalid('no Basic Offset Table', position);
}

async function walk(
  file: FileWindow,
  first: number,
  signal: AbortSignal | undefined,
): Promise<{ offsets: Float64Array; lengths: Uint32Array; isDelimited: boolean }> {
  let offsets = new Float64Array(1024);
  let lengths = new Uint32Array(1024);
  let count = 0;
  for (let position = first; ; count++) {
    signal?.throwIfAborted();
    // A fragment of odd length may be followed by a padding byte that was not counted.
    const odd = count > 0 && lengths[count - 1]! % 2 === 1 && !(await isTag(file, position));
    const next = odd ? position + 1 : position;
    // Some writers omit the sequence delimiter. A truncated file lacks frames, which their number reveals.
    const item: Fragment | undefined = next >= file.size ? undefined : await readItem(file, next);
    if (item === undefined)
      return {
        offsets: offsets.slice(0, count),
        lengths: lengths.slice(0, count),
        isDelimited: next < file.size,
      };
    if (count === MAX_FRAGMENTS) invalid(`there are more than ${MAX_FRAGMENTS} fragments`, position);
    if (count === offsets.length) {
      offsets = grown(offsets, new Float64Array(2 * count));
      lengths = grown(lengths, new Uint32Array(2 * count));
    }
    offsets[count] = item.offset;
    lengths[count] = item.length;
    position = item.offset + item.length;
  }
}

function grown<T extends Float64Array | Uint32Array>(from: T, into: T): T {
  into.set(from);
  return into;
}

/** The item at this position; undefined at the end of the sequence. */
async function readItem(file: FileWindow, position: number): Promise<Fragment | undefined> {
  if (position + ITEM_HEADER_BYTES > file.size)
    invalid('the file ends without a sequence delimiter', position);
  const view = viewOf(await file.peek(position, ITEM_HEADER_BYTES));
  const tag = view.getUint32(0, true);
  if (tag === SEQUENCE_END) return undefined;
  if (tag !== ITEM) invalid('no fragment where one should begin', position);
  const length = view.getUint32(4, true);
  const offset = position + ITEM_HEADER_BYTES;
  if (offset + length > file.size)
    invalid(`a fragment of ${length} bytes goes beyond the end of the file`, position);
  return { offset, length };
}

async function isTag(file: FileWindow, position: number): Promise<boolean> {
  if (position + ITEM_HEADER_BYTES > file.size) return true;
  const tag = viewOf(await file.peek(position, 4)).getUint32(0, true);
  return tag === ITEM || tag === SEQUENCE_END;
}

/** First fragment of each frame according to an offset table; undefined unless it points to fragments in order. */
function startsFromTable(
  table: Float64Array | undefined,
  offsets: Float64Array,
  firstItem: number,
): Uint32Array | undefined {
  if (table === undefined) return undefined;
  const starts = new Uint32Array(table.length);
  let fragment = 0;
  for (const [frame, entry] of table.entries()) {
    const wanted = firstItem + entry + ITEM_HEADER_BYTES;
    while (fragment < offsets.length && offsets[fragment]! < wanted) fragment++;
    if (offsets[fragment] !== wanted || (frame === 0) !== (fragment === 0)) return undefined;
    if (frame > 0 && fragment === starts[frame - 1]) return undefined;
    starts[frame] = fragment;
  }
  return starts;
}

/**
 * First fragment of each frame, found by the marker at the start of a codestream; undefined if their number is wrong.
 */
async function startsFromCodestreams(
  file: FileWindow,
  offsets: Float64Array,
  lengths: Uint32Array,
  numberOfFrames: number,
  signal: AbortSignal | undefined,
): Promise<Uint32Array | undefined> {
  const starts: number[] = [];
  for (const [i, offset] of offsets.entries()) {
    signal?.throwIfAborted();
    if (lengths[i]! < 2) continue;
    if (CODESTREAM_STARTS.has(viewOf(await file.peek(offset, 2)).getUint16(0, false))) starts.push(i);
    if (starts.length > numberOfFrames || starts[0] !== 0) return undefined;
  }
  return starts.length === numberOfFrames ? Uint32Array.from(starts) : undefined;
}

function invalid(what: string, at: number): never {
  throw new StainError('DICOM_INVALID', `The pixel data are damaged at byte ${at}: ${what}.`, {
    data: { at },
  });
}
