/** Single frames asked for in one turn of the event loop, fetched in one request an instance. */
import type { DicomWebClient } from '../dicomweb/client.ts';
import type { SeriesReference } from './open-series.ts';

interface Wanted {
  readonly frameNumber: number;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

export class FrameBatches {
  readonly #client: Pick<DicomWebClient, 'retrieveFrames'>;
  readonly #series: SeriesReference;
  readonly #signal: AbortSignal;
  readonly #wanted = new Map<string, Wanted[]>();

  constructor(client: Pick<DicomWebClient, 'retrieveFrames'>, series: SeriesReference, signal: AbortSignal) {
    this.#client = client;
    this.#series = series;
    this.#signal = signal;
  }

  /** @param frameNumber 1-based @throws what the client's `retrieveFrames` throws */
  frame(sopInstanceUid: string, frameNumber: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const batch = this.#wanted.get(sopInstanceUid);
      if (batch) {
        batch.push({ frameNumber, resolve, reject });
        return;
      }
      this.#wanted.set(sopInstanceUid, [{ frameNumber, resolve, reject }]);
      setImmediate(() => void this.#fetch(sopInstanceUid));
    });
  }

  async #fetch(sopInstanceUid: string): Promise<void> {
    const batch = this.#wanted.get(sopInstanceUid)!;
    this.#wanted.delete(sopInstanceUid);
    const { studyInstanceUid, seriesInstanceUid } = this.#series;
    const numbers = batch.map(({ frameNumber }) => frameNumber);
    try {
      const frames = this.#client.retrieveFrames(
        studyInstanceUid,
        seriesInstanceUid,
        sopInstanceUid,
        numbers,
        this.#signal,
      );
      for await (const { index, bytes } of frames) batch[index]!.resolve(bytes);
    } catch (error) {
      // Those that came are settled already.
      for (const { reject } of batch) reject(error);
    }
  }
}
