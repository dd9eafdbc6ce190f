/** Memory for file headers, over all requests: one may take 256 MB, and anybody may request a hundred at once. */
import { Budget, type Reservation } from '../sharing/budget.ts';

/** Maximum size of a small header; the headers of slides with an offset table take a hundredth of it. */
const SMALL_BYTES = 2 ** 20;
const ALL_SMALL_BYTES = 64 * SMALL_BYTES;

/** Small headers have a budget of their own, so that one huge slide, or one slow client, does not hold them up. */
export class HeaderRoom {
  readonly #small = new Budget(ALL_SMALL_BYTES);
  readonly #large: Budget;

  /** @param maxHeaderBytes limit for one header, and for all large ones together */
  constructor(maxHeaderBytes: number) {
    this.#large = new Budget(Math.max(maxHeaderBytes, SMALL_BYTES));
  }

  /** Bytes in use. */
  get bytes(): number {
    return this.#small.used + this.#large.used;
  }

  get waiting(): number {
    return this.#small.waiting + this.#large.waiting;
  }

  /** @throws the reason of the signal if the client leaves while waiting */
  reserve(bytes: number, signal: AbortSignal): Promise<Reservation> {
    return (bytes <= SMALL_BYTES ? this.#small : this.#large).reserve(bytes, signal);
  }
}
