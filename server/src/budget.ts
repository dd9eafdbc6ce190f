/** A room that many share: whoever needs a part of it waits until that part is free, in the order of asking. */

/** A part of a budget. It is given back once, at the latest when its user is done with it. */
export interface Reservation extends Disposable {
  /** Gives back all but this amount; a larger one than it has changes nothing. */
  shrinkTo(amount: number): void;
}

interface Waiting {
  readonly amount: number;
  readonly begin: () => void;
}

/**
 * Amounts in any one unit (bytes, pixels). Nobody overtakes, so that a large part is not put off for ever by small ones.
 * Whoever holds a part and waits for another one of the same budget may wait for himself: give back first.
 */
export class Budget {
  readonly total: number;
  #used = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(total: number) {
    this.total = total;
  }

  /** Amount that is taken now. */
  get used(): number {
    return this.#used;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * @throws RangeError for more than the whole budget, which would wait for ever; the reason of the signal for one who
   *   leaves while waiting, and gives up the place
   */
  async reserve(amount: number, signal: AbortSignal): Promise<Reservation> {
    if (!(amount >= 0 && amount <= this.total))
      throw new RangeError(`${amount} is more than the budget of ${this.total}.`);
    signal.throwIfAborted();
    if (this.#waiting.size > 0 || !this.#fits(amount)) await this.#turn(amount, signal);
    else this.#used += amount;
    return this.#reservation(amount);
  }

  #fits(amount: number): boolean {
    return this.#used + amount <= this.total;
  }

  #turn(amount: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(waiting);
        reject(signal.reason);
        // Those behind may fit where this one did not.
        this.#admit();
      };
      const waiting: Waiting = {
        amount,
        begin: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      this.#waiting.add(waiting);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  #admit(): void {
    for (const waiting of this.#waiting) {
      if (!this.#fits(waiting.amount)) return;
      this.#waiting.delete(waiting);
      // Taken here, not where the one who waited goes on: another could come in between.
      this.#used += waiting.amount;
      waiting.begin();
    }
  }

  #reservation(reserved: number): Reservation {
    let held = reserved;
    const shrinkTo = (amount: number): void => {
      if (amount >= held) return;
      this.#used -= held - amount;
      held = amount;
      this.#admit();
    };
    return {
      shrinkTo,
      [Symbol.dispose]: () => shrinkTo(0),
    };
  }
}
