/** Pixels decoded for viewers, over all requests: the largest frame takes 300 MB, and anybody may request hundreds. */

import type { FrameFormat } from '../../../core/src/codec/frame-format.ts';
import { StainError } from '../../../core/src/errors.ts';
import { MAX_FRAME_PIXELS } from '../../../core/src/image/raster.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { Part10File } from '../dicom/part10-file.ts';
import { Budget, type Reservation } from '../sharing/budget.ts';

/** Two frames of the largest size, so that one of them does not block all others. */
const PIXELS_AT_ONCE = 2 * MAX_FRAME_PIXELS;
const BYTES_PER_PIXEL = 3;
/** Stored tiles do not wait for pictures that are being decoded; they have this many bytes of their own. */
const [TILE_BYTES, TILES_AT_ONCE] = [4e6, 64e6];

/** A frame and the memory it occupies; its holder must dispose it. */
export interface HeldFrame extends Disposable {
  readonly bytes: Uint8Array;
  /** What was made from the frame now occupies the memory instead. */
  replacedBy(bytes: Uint8Array): void;
}

export class Pictures {
  readonly #codecs: CodecPool;
  readonly #room = new Budget(PIXELS_AT_ONCE);
  readonly #tileRoom = new Budget(TILES_AT_ONCE);

  constructor(codecs: CodecPool) {
    this.#codecs = codecs;
  }

  /** Pixels in memory now. */
  get pixels(): number {
    return this.#room.used;
  }

  /** Number of frames waiting for memory. */
  get waiting(): number {
    return this.#room.waiting + this.#tileRoom.waiting;
  }

  /**
   * A frame as stored.
   * @param index 0-based
   * @throws FRAME_TOO_LARGE, FRAME_INVALID, the reason of the signal
   */
  async stored(file: Part10File, index: number, signal: AbortSignal): Promise<HeldFrame> {
    const length = await file.frameLength(index, signal);
    const room =
      length <= TILE_BYTES
        ? await this.#tileRoom.reserve(length, signal)
        : await this.#reserve(Math.ceil(length / BYTES_PER_PIXEL), signal);
    return this.#held(room, () => file.frame(index, signal));
  }

  /**
   * A frame as rows x columns RGB.
   * @param index 0-based
   * @throws FRAME_TOO_LARGE, FRAME_INVALID, TRANSFER_SYNTAX_UNSUPPORTED, the errors of decoding, the reason of the
   * signal
   */
  async decoded(file: Part10File, index: number, signal: AbortSignal): Promise<HeldFrame> {
    const { dataset, transferSyntaxUid } = file;
    const format = {
      transferSyntaxUid,
      rows: dataset.number('Rows') ?? 0,
      columns: dataset.number('Columns') ?? 0,
      photometricInterpretation: dataset.string('PhotometricInterpretation') ?? 'RGB',
      planarConfiguration: dataset.number('PlanarConfiguration') ?? 0,
    };
    const length = await file.frameLength(index, signal);
    return this.decodedFrame(format, length, () => file.frame(index, signal), signal);
  }

  /**
   * Any frame as rows x columns RGB.
   * @param length of the stored frame, in bytes
   * @throws like `decoded`, and whatever `read` throws
   */
  async decodedFrame(
    format: FrameFormat,
    length: number,
    read: () => Promise<Uint8Array>,
    signal: AbortSignal,
  ): Promise<HeldFrame> {
    if (format.rows * format.columns > MAX_FRAME_PIXELS) throw tooLarge();
    // The stored frame may be larger than its header says.
    const pixels = Math.max(format.rows * format.columns, Math.ceil(length / BYTES_PER_PIXEL));
    const room = await this.#reserve(pixels, signal);
    return this.#held(room, async () =>
      this.#codecs.decode(await read(), format, { table: undefined, signal }),
    );
  }

  async #reserve(pixels: number, signal: AbortSignal): Promise<Reservation> {
    if (pixels > PIXELS_AT_ONCE) throw tooLarge();
    return this.#room.reserve(pixels, signal);
  }

  async #held(room: Reservation, read: () => Promise<Uint8Array>): Promise<HeldFrame> {
    using cleanup = new DisposableStack();
    cleanup.use(room);
    const bytes = await read();
    const kept = cleanup.move();
    return {
      bytes,
      replacedBy: ({ length }) => room.shrinkTo(Math.ceil(length / BYTES_PER_PIXEL)),
      [Symbol.dispose]: () => kept.dispose(),
    };
  }
}

function tooLarge(): StainError {
  return new StainError(
    'FRAME_TOO_LARGE',
    `A frame has more than ${MAX_FRAME_PIXELS / 1e6} megapixels, or needs that much memory.`,
    { data: { limit: MAX_FRAME_PIXELS } },
  );
}
