/** Part 10 bytes as something that the client can store. */
import { DataSet } from '../../server/src/dicom/dataset.ts';
import type { StorableInstance } from '../../server/src/dicomweb/client.ts';
import {
  makeSlideInstance,
  type SlideInstanceOptions,
  testUid,
  WHOLE_SLIDE_SOP_CLASS,
} from './make-slide.ts';

export interface StorableSlide extends StorableInstance {
  readonly studyUid: string;
  readonly seriesUid: string;
  readonly bytes: Buffer;
  readonly frames: readonly Uint8Array[];
}

/** A slide of one row of 16 x 16 tiles with noise in its frames: enough if nobody looks at it. */
export function storableSlide(name: string, options: Partial<SlideInstanceOptions> = {}): StorableSlide {
  const frames = options.frames ?? [noise(1000, 1), noise(402, 2), noise(20, 3)];
  const [studyUid, seriesUid, sopInstanceUid] = ['study', 'series', 'instance'].map((level) =>
    testUid(`${name} ${level}`),
  ) as [string, string, string];
  const bytes = Buffer.from(
    makeSlideInstance({
      rows: 16,
      columns: 16,
      totalRows: 16,
      totalColumns: 16 * frames.length,
      frames,
      ...options,
      overrides: {
        StudyInstanceUID: studyUid,
        SeriesInstanceUID: seriesUid,
        SOPInstanceUID: sopInstanceUid,
        ...options.overrides,
      },
    }),
  );
  const uid = (keyword: string, otherwise: string): string =>
    String(DataSet.of(options.overrides ?? {}).string(keyword) ?? otherwise);
  return {
    studyUid: uid('StudyInstanceUID', studyUid),
    seriesUid: uid('SeriesInstanceUID', seriesUid),
    sopInstanceUid: uid('SOPInstanceUID', sopInstanceUid),
    sopClassUid: WHOLE_SLIDE_SOP_CLASS,
    rows: 16,
    columns: 16,
    numberOfFrames: frames.length,
    byteLength: bytes.length,
    bytes,
    frames,
    async *stream() {
      for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
    },
  };
}

/** Pseudo-random bytes, the same in every run, with line breaks and dashes as often as any others. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const held = [];
  for await (const chunk of chunks) held.push(chunk);
  return Buffer.concat(held);
}
