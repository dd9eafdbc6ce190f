/** Frames of one series, as they are stored, through the viewer's DICOMweb client. */
import pLimit from 'p-limit';
import { isDoubtful, type NativeColours } from '../../../server/src/codec/native-colours.ts';
import type { Rectangle } from '../../../server/src/slide/windows.ts';
import type { WadoClient } from '../ohif/types.ts';
import type { SlideSeries } from '../state.ts';
import { ByteCache } from './byte-cache.ts';
import type { EncodedFrame, WindowPixels } from './messages.ts';
import type { FrameReference, SlideLevel } from './slide-levels.ts';

/** Encoded frames are kept up to this many bytes. */
const MOST_BYTES = 32 << 20;
/** Requests at a time, as browsers allow to one host: the viewer's own need room too. */
const MOST_REQUESTS = 6;

export class FrameSource {
  readonly #series: SlideSeries;
  readonly #client: () => WadoClient;
  readonly #frames = new ByteCache<ArrayBuffer>(MOST_BYTES);
  readonly #underWay = new Map<string, Promise<ArrayBuffer>>();
  readonly #limit = pLimit(MOST_REQUESTS);

  /** @param client asked for each request, because the user's token changes */
  constructor(series: SlideSeries, client: () => WadoClient) {
    this.#series = series;
    this.#client = client;
  }

  /**
   * A rectangle of a level with the frames under it.
   * @param window its origin may not be negative
   * @param native what the service has found in uncompressed frames whose header cannot be right
   * @throws the signal's reason; frames whose turn has not come by then are not asked for
   */
  async window(
    level: SlideLevel,
    window: Rectangle,
    native: NativeColours | null,
    signal: AbortSignal,
  ): Promise<WindowPixels> {
    const { columns, rows, totalColumns, totalRows, planarConfiguration } = level;
    const frames: Promise<EncodedFrame>[] = [];
    for (let row = Math.floor(window.y / rows); row * rows < window.y + window.height; row++)
      for (
        let column = Math.floor(window.x / columns);
        column * columns < window.x + window.width;
        column++
      ) {
        const reference = level.frameAt(column, row);
        if (!reference) continue;
        const key = `${reference.sopInstanceUid}/${reference.frameNumber}`;
        const place = { x: column * columns, y: row * rows, width: columns, height: rows };
        frames.push(
          this.#frame(key, reference, signal).then((bytes) => ({
            ...place,
            key,
            bytes,
            photometricInterpretation:
              native && isDoubtful(level, bytes.byteLength) ? native : level.photometricInterpretation,
            planarConfiguration,
          })),
        );
      }
    return { ...window, frames: await Promise.all(frames), planeWidth: totalColumns, planeHeight: totalRows };
  }

  async #frame(key: string, reference: FrameReference, signal: AbortSignal): Promise<ArrayBuffer> {
    const known = () => this.#frames.get(key) ?? this.#underWay.get(key);
    return (
      known() ??
      this.#limit(() => {
        signal.throwIfAborted();
        // Somebody else's turn may have come first.
        return known() ?? this.#fetch(key, reference);
      })
    );
  }

  /** Shared by all who need the frame: none of them can end it for the others. */
  #fetch(key: string, { sopInstanceUid, frameNumber }: FrameReference): Promise<ArrayBuffer> {
    const frame = this.#client()
      .retrieveInstanceFrames({
        studyInstanceUID: this.#series.studyInstanceUid,
        seriesInstanceUID: this.#series.seriesInstanceUid,
        sopInstanceUID: sopInstanceUid,
        frameNumbers: [frameNumber],
        mediaTypes: [{ mediaType: 'application/octet-stream', transferSyntaxUID: '*' }],
      })
      .then(([bytes]) => {
        this.#frames.set(key, bytes!, bytes!.byteLength);
        return bytes!;
      })
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, frame);
    return frame;
  }
}
