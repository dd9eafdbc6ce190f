/** Offset tables of encapsulated pixel data with one fragment per frame (PS3.5 A.4, PS3.3 C.7.6.3.1.8). */
import { elementHeader } from './dataset-writer.ts';

const ITEM_HEADER_BYTES = 8;
const MAX_BASIC_OFFSET = 0xffffffff;

export interface PixelDataLayout {
  /** Elements to write before Pixel Data: the extended offset table, if the basic one cannot hold the offsets. */
  readonly before: Uint8Array;
  /** Value of the basic offset table; may be empty. */
  readonly basicTable: Uint8Array;
  /** Total size of all fragments, including item headers and padding. */
  readonly fragmentBytes: number;
}

/** @param lengthOf size of a frame in bytes; its index is 0-based */
export function layOutFrames(frameCount: number, lengthOf: (index: number) => number): PixelDataLayout {
  const offsets = new Float64Array(frameCount);
  let fragmentBytes = 0;
  for (let i = 0; i < frameCount; i++) {
    offsets[i] = fragmentBytes;
    const length = lengthOf(i);
    fragmentBytes += ITEM_HEADER_BYTES + length + (length % 2);
  }
  if ((offsets.at(-1) ?? 0) <= MAX_BASIC_OFFSET) {
    const basicTable = new Uint8Array(4 * frameCount);
    const view = new DataView(basicTable.buffer);
    for (const [i, offset] of offsets.entries()) view.setUint32(4 * i, offset, true);
    return { before: new Uint8Array(0), basicTable, fragmentBytes };
  }
  const table = uint64s(offsets);
  // The lengths are those of the frames, without padding.
  const lengths = uint64s(Float64Array.from({ length: frameCount }, (_, i) => lengthOf(i)));
  const before = Buffer.concat([
    elementHeader('7FE00001', 'OV', table.length),
    table,
    elementHeader('7FE00002', 'OV', lengths.length),
    lengths,
  ]);
  return { before, basicTable: new Uint8Array(0), fragmentBytes };
}

function uint64s(values: Float64Array): Uint8Array {
  const bytes = new Uint8Array(8 * values.length);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) view.setBigUint64(8 * i, BigInt(value), true);
  return bytes;
}
