/** Single frames asked for in one turn of the event loop, fetched in one request an instance. */
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { SeriesReference } from './open-series.ts';

interface Batch {
  readonly sopInstanceUid: string;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  readonly wanted: Wanted[];
}

interface Wanted {
  readonly frameNumber: number;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

export class FrameBatches {
  readonly #client: Pick<DicomWebClient, 'retrieveFrames'>;
  readonly #series: SeriesReference;
  readonly #open: Batch[] = [];

  constructor(client: Pick<DicomWebClient, 'retrieveFrames'>, series: SeriesReference) {
    this.#client = client;
    this.#series = series;
  }

  /**
   * @param frameNumber 1-based
   * @param maxBytes of a frame of this instance
   * @param signal of whoever reads: requests of two readers are not mixed
   * @throws what the client's `retrieveFrames` throws
   */
  frame(
    sopInstanceUid: string,
    frameNumber: number,
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      let batch = this.#open.find((open) => open.sopInstanceUid === sopInstanceUid && open.signal === signal);
      if (!batch) {
        batch = { sopInstanceUid, maxBytes, signal, wanted: [] };
        this.#open.push(batch);
        setImmediate(() => void this.#fetch());
      }
      batch.wanted.push({ frameNumber, resolve, reject });
    });
  }

  async #fetch(): Promise<void> {
    const { sopInstanceUid, maxBytes, signal, wanted: batch } = this.#open.shift()!;
    const { studyInstanceUid, seriesInstanceUid } = this.#series;
    const numbers = batch.map(({ frameNumber }) => frameNumber);
    try {
      const frames = this.#client.retrieveFrames(
        studyInstanceUid,
        seriesInstanceUid,
        sopInstanceUid,
        numbers,
        signal,
        maxBytes,
      );
      for await (const { index, bytes } of frames) batch[index]!.resolve(bytes);
    } catch (error) {
      // Those that came are settled already.
      for (const { reject } of batch) reject(error);
    }
  }
}
