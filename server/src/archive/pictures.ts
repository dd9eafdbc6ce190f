/** Pixels that are decoded for viewers, over all requests: a frame of the largest size takes 300 MB, and anybody may ask for hundreds. */
import { Budget, type Reservation } from '../budget.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import type { Part10File } from '../dicom/part10-file.ts';
import { StainError } from '../errors.ts';
import { MAX_FRAME_PIXELS } from '../slide/raster.ts';

/** Two frames of the largest size: one of them does not hold up all others. */
const PIXELS_AT_ONCE = 2 * MAX_FRAME_PIXELS;
const BYTES_PER_PIXEL = 3;

/** A frame and the room that it takes; whoever has it gives the room back. */
export interface HeldFrame extends Disposable {
  readonly bytes: Uint8Array;
  /** What was made of the frame is in memory in its place. */
  replacedBy(bytes: Uint8Array): void;
}

export class Pictures {
  readonly #codecs: CodecPool;
  readonly #room = new Budget(PIXELS_AT_ONCE);

  constructor(codecs: CodecPool) {
    this.#codecs = codecs;
  }

  /** Pixels that are in memory now. */
  get pixels(): number {
    return this.#room.used;
  }

  /** Frames that wait for room. */
  get waiting(): number {
    return this.#room.waiting;
  }

  /**
   * A frame as it is stored.
   * @param index 0-based
   * @throws FRAME_TOO_LARGE, FRAME_INVALID, the reason of the signal
   */
  async stored(file: Part10File, index: number, signal: AbortSignal): Promise<HeldFrame> {
    const room = await this.#reserve(Math.ceil(file.frameLength(index) / BYTES_PER_PIXEL), signal);
    return this.#held(room, () => file.frame(index));
  }

  /**
   * A frame as rows x columns RGB.
   * @param index 0-based
   * @throws FRAME_TOO_LARGE, FRAME_INVALID, TRANSFER_SYNTAX_UNSUPPORTED, those of decoding, the reason of the signal
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
    if (format.rows * format.columns > MAX_FRAME_PIXELS) throw tooLarge();
    // What is stored may be larger than what it is said to be.
    const pixels = Math.max(
      format.rows * format.columns,
      Math.ceil(file.frameLength(index) / BYTES_PER_PIXEL),
    );
    const room = await this.#reserve(pixels, signal);
    return this.#held(room, async () =>
      this.#codecs.decode(await file.frame(index), format, { table: undefined, signal }),
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
    `A frame has more than ${MAX_FRAME_PIXELS / 1e6} megapixels, or takes as much memory.`,
    { data: { limit: MAX_FRAME_PIXELS } },
  );
}
