/** Frames of one series, as they are stored, through the viewer's DICOMweb client. */
import type { Rectangle } from '../../../server/src/slide/windows.ts';
import type { WadoClient } from '../ohif/types.ts';
import type { SlideSeries } from '../state.ts';
import type { EncodedFrame, WindowPixels } from './messages.ts';
import type { FrameReference, SlideLevel } from './slide-levels.ts';

/** Encoded frames kept; a frame is a few tens of kilobytes. */
const MOST_FRAMES = 256;

export class FrameSource {
  readonly #series: SlideSeries;
  readonly #client: () => WadoClient;
  readonly #frames = new Map<string, Promise<ArrayBuffer>>();

  /** @param client asked for each request, because the user's token changes */
  constructor(series: SlideSeries, client: () => WadoClient) {
    this.#series = series;
    this.#client = client;
  }

  /** A rectangle of a level with the frames under it. @param window its origin may not be negative */
  async window(level: SlideLevel, window: Rectangle): Promise<WindowPixels> {
    const { columns, rows, totalColumns, totalRows, photometricInterpretation } = level;
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
          this.#fetch(key, reference).then((bytes) => ({ ...place, key, bytes, photometricInterpretation })),
        );
      }
    return { ...window, frames: await Promise.all(frames), planeWidth: totalColumns, planeHeight: totalRows };
  }

  #fetch(key: string, { sopInstanceUid, frameNumber }: FrameReference): Promise<ArrayBuffer> {
    let frame = this.#frames.get(key);
    if (!frame) {
      frame = this.#client()
        .retrieveInstanceFrames({
          studyInstanceUID: this.#series.studyInstanceUid,
          seriesInstanceUID: this.#series.seriesInstanceUid,
          sopInstanceUID: sopInstanceUid,
          frameNumbers: [frameNumber],
          mediaTypes: [{ mediaType: 'application/octet-stream', transferSyntaxUID: '*' }],
        })
        .then(([bytes]) => bytes!);
      frame.catch(() => this.#frames.delete(key));
      this.#frames.set(key, frame);
      if (this.#frames.size > MOST_FRAMES) this.#frames.delete(this.#frames.keys().next().value!);
    }
    return frame;
  }
}
