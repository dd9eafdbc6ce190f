/** An amount that many users share: whoever needs a part waits until it is free, first come, first served. */

/** A part of a budget. Dispose it at the latest when its user is done; it is returned only once. */
export interface Reservation extends Disposable {
  /** Returns all but this amount; no effect if the amount is larger than the reservation. */
  shrinkTo(amount: number): void;
}

interface Waiting {
  readonly amount: number;
  readonly begin: () => void;
}

/**
 * Amounts in any single unit (bytes, pixels). Nobody overtakes, so that small requests cannot starve a large one.
 * Waiting for a second part while holding one of the same budget can deadlock: release the first part before.
 */
export class Budget {
  readonly total: number;
  #used = 0;
  readonly #waiting = new Set<Waiting>();

  constructor(total: number) {
    this.total = total;
  }

  /** Amount in use. */
  get used(): number {
    return this.#used;
  }

  /** Number of callers waiting. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * @throws RangeError for more than the whole budget, which would wait for ever; the reason of the signal if the
   * caller leaves while waiting
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
        // Those behind may fit although this one did not.
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
      // Taken here, not where the waiting caller continues: another could come in between.
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
