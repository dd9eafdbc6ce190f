/** Memory for the headers of files, over all requests: one may take 256 MB, and anybody may ask for a hundred of them at once. */
import { Budget, type Reservation } from '../budget.ts';

/** A header of at most this size is a small one; those of slides with a table of offsets are a hundredth of it. */
const SMALL_BYTES = 2 ** 20;
const ALL_SMALL_BYTES = 64 * SMALL_BYTES;

/** Small headers have room of their own, so that one huge slide, or a client that reads one slowly, holds up none of them. */
export class HeaderRoom {
  readonly #small = new Budget(ALL_SMALL_BYTES);
  readonly #large: Budget;

  /** @param maxHeaderBytes of one header, and of all large ones together */
  constructor(maxHeaderBytes: number) {
    this.#large = new Budget(Math.max(maxHeaderBytes, SMALL_BYTES));
  }

  /** Bytes that are taken now. */
  get bytes(): number {
    return this.#small.used + this.#large.used;
  }

  get waiting(): number {
    return this.#small.waiting + this.#large.waiting;
  }

  /** @throws the reason of the signal for one who leaves while waiting */
  reserve(bytes: number, signal: AbortSignal): Promise<Reservation> {
    return (bytes <= SMALL_BYTES ? this.#small : this.#large).reserve(bytes, signal);
  }
}
