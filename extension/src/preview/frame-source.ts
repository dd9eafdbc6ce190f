/** Frames of one series, as they are stored, through the viewer's DICOMweb client. */
import pLimit from 'p-limit';
import type { NativeColours } from '../../../core/src/codec/native-colours.ts';
import type { Rectangle } from '../../../core/src/image/windows.ts';
import type { WadoClient } from '../ohif/types.ts';
import type { SlideSeries } from '../state.ts';
import { translate } from '../strings/translate.ts';
import { ByteBoundCache } from './byte-bound-cache.ts';
import type { EncodedFrame, WindowPixels } from './messages.ts';
import type { FrameLayout, FrameReference, SlideLevel } from './slide-levels.ts';

/** Maximum bytes of encoded frames in the cache. */
const MAX_BYTES = 32 << 20;
/** Simultaneous requests. Browsers allow this many to one host, and the viewer's own need room too. */
const MAX_REQUESTS = 6;

export class FrameSource {
  readonly #series: SlideSeries;
  readonly #client: () => WadoClient;
  readonly #frames = new ByteBoundCache<ArrayBuffer>(MAX_BYTES, (frame) => frame.byteLength);
  readonly #underWay = new Map<string, Promise<ArrayBuffer>>();
  readonly #limit = pLimit(MAX_REQUESTS);

  /** @param client called for each request, because the user's token changes */
  constructor(series: SlideSeries, client: () => WadoClient) {
    this.#series = series;
    this.#client = client;
  }

  /**
   * A rectangle of a level with the frames under it.
   * @param window its origin may not be negative
   * @param native the colours that the service found in frames with a wrong header
   * @throws the signal's reason; frames whose turn has not come by then are not requested
   */
  async window(
    level: SlideLevel,
    window: Rectangle,
    native: NativeColours | null,
    signal: AbortSignal,
  ): Promise<WindowPixels> {
    const { columns, rows, totalColumns, totalRows } = level;
    const frames: Promise<EncodedFrame>[] = [];
    for (let row = Math.floor(window.y / rows); row * rows < window.y + window.height; row++)
      for (
        let column = Math.floor(window.x / columns);
        column * columns < window.x + window.width;
        column++
      ) {
        const reference = level.frameAt(column, row);
        if (!reference) continue;
        const at = { x: column * columns, y: row * rows };
        frames.push(this.#encoded(level, reference, at, native, signal));
      }
    return { ...window, frames: await Promise.all(frames), planeWidth: totalColumns, planeHeight: totalRows };
  }

  /** One frame by itself, with what it holds beyond the edge of the slide. @throws as `window` */
  async frame(
    layout: FrameLayout,
    reference: FrameReference,
    native: NativeColours | null,
    signal: AbortSignal,
  ): Promise<WindowPixels> {
    const { columns: width, rows: height } = layout;
    const frame = await this.#encoded(layout, reference, { x: 0, y: 0 }, native, signal);
    return { x: 0, y: 0, width, height, frames: [frame], planeWidth: width, planeHeight: height };
  }

  async #encoded(
    layout: FrameLayout,
    reference: FrameReference,
    at: { readonly x: number; readonly y: number },
    native: NativeColours | null,
    signal: AbortSignal,
  ): Promise<EncodedFrame> {
    const { columns: width, rows: height, photometricInterpretation, planarConfiguration } = layout;
    const key = `${reference.sopInstanceUid}/${reference.frameNumber}`;
    const bytes = await this.#frame(key, reference, signal);
    return {
      ...at,
      width,
      height,
      key,
      bytes,
      photometricInterpretation,
      native,
      planarConfiguration,
    };
  }

  async #frame(key: string, reference: FrameReference, signal: AbortSignal): Promise<ArrayBuffer> {
    const known = () => this.#frames.get(key) ?? this.#underWay.get(key);
    return (
      known() ??
      this.#limit(() => {
        signal.throwIfAborted();
        // Another caller may have fetched it meanwhile.
        return known() ?? this.#fetch(key, reference);
      })
    );
  }

  /** Shared by all callers that need the frame: none can abort it for the others. */
  #fetch(key: string, { sopInstanceUid, frameNumber }: FrameReference): Promise<ArrayBuffer> {
    const frame = this.#client()
      .retrieveInstanceFrames({
        studyInstanceUID: this.#series.studyInstanceUid,
        seriesInstanceUID: this.#series.seriesInstanceUid,
        sopInstanceUID: sopInstanceUid,
        frameNumbers: [frameNumber],
        mediaTypes: [{ mediaType: 'application/octet-stream', transferSyntaxUID: '*' }],
      })
      .then(
        ([bytes]) => {
          this.#frames.set(key, bytes!);
          return bytes!;
        },
        (cause: unknown) => {
          throw new Error(translate('reason.frame'), { cause });
        },
      )
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, frame);
    return frame;
  }
}
