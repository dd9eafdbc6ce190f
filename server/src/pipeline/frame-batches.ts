/** Collects single-frame reads made in one turn of the event loop, and fetches them in one request per instance. */
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { SeriesReference } from './series-reference.ts';

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
  readonly #onFirst: (sopInstanceUid: string, ms: number) => void;
  readonly #open: Batch[] = [];

  /** @param onFirst receives the time to the first frame of each request */
  constructor(
    client: Pick<DicomWebClient, 'retrieveFrames'>,
    series: SeriesReference,
    onFirst: (sopInstanceUid: string, ms: number) => void = () => {},
  ) {
    this.#client = client;
    this.#series = series;
    this.#onFirst = onFirst;
  }

  /**
   * @param frameNumber 1-based
   * @param maxBytes of a frame of this instance
   * @param signal of the reader: reads with different signals are not combined
   * @throws whatever the client's `retrieveFrames` throws
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
    const asked = performance.now();
    try {
      const frames = this.#client.retrieveFrames(
        studyInstanceUid,
        seriesInstanceUid,
        sopInstanceUid,
        numbers,
        signal,
        maxBytes,
      );
      for await (const { index, bytes } of frames) {
        if (index === 0) this.#onFirst(sopInstanceUid, performance.now() - asked);
        batch[index]!.resolve(bytes);
      }
    } catch (error) {
      // Frames that arrived are already settled.
      for (const { reject } of batch) reject(error);
    }
  }
}
