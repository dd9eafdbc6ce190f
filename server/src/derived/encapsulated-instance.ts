/**
 * A derived instance as a Part 10 file that exists only while it is sent: header from memory, frames from the spool.
 * Every call generates the same bytes, so that a retry stores the same instance.
 */
import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { elementHeader, writeDataSet } from '../dicom/dataset-writer.ts';
import { writePart10Beginning } from '../dicom/file-meta.ts';
import { layOutFrames } from '../dicom/offset-table.ts';
import type { EncodedFrames } from '../spool/frame-spool.ts';

/** Small frames are combined into chunks of this size. */
const CHUNK_BYTES = 256 * 1024;
const ITEM_HEADER_BYTES = 8;
const UNDEFINED_LENGTH = 0xffffffff;
const SEQUENCE_END = Uint8Array.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0);

export interface EncapsulatedInstanceInput {
  /** Without pixel data and offset tables. */
  readonly dataset: DataSet;
  readonly transferSyntaxUid: string;
  /** All frames, spooled. */
  readonly spool: EncodedFrames;
}

export class EncapsulatedInstance {
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly rows: number;
  readonly columns: number;
  readonly numberOfFrames: number;
  /** Exact length of the file. */
  readonly byteLength: number;
  readonly #spool: EncodedFrames;
  /** Everything up to the first fragment. */
  readonly #beginning: Uint8Array;

  /** @throws INTERNAL if a frame is missing from the spool, or the data set has a different number of frames */
  constructor({ dataset, transferSyntaxUid, spool }: EncapsulatedInstanceInput) {
    this.sopInstanceUid = requireText(dataset, 'SOPInstanceUID');
    this.sopClassUid = requireText(dataset, 'SOPClassUID');
    this.studyInstanceUid = requireText(dataset, 'StudyInstanceUID');
    this.seriesInstanceUid = requireText(dataset, 'SeriesInstanceUID');
    this.rows = dataset.number('Rows') ?? 0;
    this.columns = dataset.number('Columns') ?? 0;
    this.numberOfFrames = dataset.number('NumberOfFrames') ?? 1;
    if (this.numberOfFrames !== spool.frameCount)
      throw new StainError(
        'INTERNAL',
        `${spool.frameCount} frames for an instance of ${this.numberOfFrames}.`,
      );
    this.#spool = spool;
    const layout = layOutFrames(spool.frameCount, (index) => spool.frameLength(index));
    this.#beginning = Buffer.concat([
      writePart10Beginning(dataset, transferSyntaxUid),
      writeDataSet(dataset),
      layout.before,
      elementHeader('7FE00010', 'OB', UNDEFINED_LENGTH),
      itemHeader(layout.basicTable.length),
      layout.basicTable,
    ]);
    this.byteLength = this.#beginning.length + layout.fragmentBytes + SEQUENCE_END.length;
  }

  /** The file, in chunks of 256 KB or one frame. */
  async *stream(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    yield this.#beginning;
    let chunk = Buffer.alloc(CHUNK_BYTES);
    let size = 0;
    for await (const frame of this.#spool.frames(signal)) {
      const even = frame.length + (frame.length % 2);
      const needed = ITEM_HEADER_BYTES + even;
      if (size + needed > chunk.length) {
        if (size > 0) yield chunk.subarray(0, size);
        [chunk, size] = [Buffer.alloc(Math.max(CHUNK_BYTES, needed)), 0];
      }
      chunk.set(itemHeader(even), size);
      chunk.set(frame, size + ITEM_HEADER_BYTES);
      size += needed;
    }
    if (size > 0) yield chunk.subarray(0, size);
    yield SEQUENCE_END;
  }
}

function itemHeader(length: number): Uint8Array {
  const bytes = Uint8Array.of(0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0);
  new DataView(bytes.buffer).setUint32(4, length, true);
  return bytes;
}

function requireText(dataSet: DataSet, keyword: string): string {
  const value = dataSet.string(keyword);
  if (!value) throw new StainError('INTERNAL', `The derived data set has no ${keyword}.`);
  return value;
}
