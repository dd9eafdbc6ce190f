/** Work that takes a slot, of which there are few: users take turns, whoever asks for much waits behind the others' little. */
import { count } from './count.ts';
import { StainError } from './errors.ts';

export interface TurnLimits {
  /** Pieces of work at the same time. */
  readonly atOnce: number;
  /** Of them, those of one user: what hangs of one leaves slots for the others. */
  readonly atOnceOfOne: number;
  /** Pieces of work of one user, under way or waiting. */
  readonly mostOfOne: number;
  /** Of those at the same time, those at one subject, of all users: what hangs there leaves slots for others. */
  readonly atOnceOfSubject?: number;
}

/** One who waits. */
interface Waiting {
  readonly subject: string | undefined;
  /** Called when the turn has come. */
  begin(): void;
}

export class Turns {
  readonly #limits: TurnLimits;
  readonly #running = new Map<string, number>();
  /** By user; the one in front is next, unless as many as may be are running already. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  /** Pieces of work under way at each subject. */
  readonly #subjects = new Map<string, number>();

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** Pieces of work under way. */
  get running(): number {
    return [...this.#running.values()].reduce((sum, count) => sum + count, 0);
  }

  get waiting(): number {
    return [...this.#waiting.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Runs the work when a slot is free and it is the user's turn.
   * @param user for whom it is done, by the id of the principal
   * @param subject what is worked at, such as a slide
   * @throws QUEUE_FULL for more than `mostOfOne`, the reason of the signal for one who leaves while waiting, and what the
   *   work throws
   */
  async take<T>(user: string, signal: AbortSignal, work: () => Promise<T>, subject?: string): Promise<T> {
    signal.throwIfAborted();
    const { mostOfOne } = this.#limits;
    if (this.#runningOf(user) + (this.#waiting.get(user)?.size ?? 0) >= mostOfOne)
      throw new StainError('QUEUE_FULL', `${mostOfOne} requests of yours of this kind are in work or wait.`, {
        data: { limit: mostOfOne },
      });
    await this.#turn(user, signal, subject);
    try {
      return await work();
    } finally {
      count(this.#running, user, -1);
      if (subject !== undefined) count(this.#subjects, subject, -1);
      this.#admit();
    }
  }

  #runningOf(user: string): number {
    return this.#running.get(user) ?? 0;
  }

  #turn(user: string, signal: AbortSignal, subject: string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const mine = this.#waiting.get(user) ?? new Set<Waiting>();
      const leave = (): void => {
        mine.delete(waiting);
        if (mine.size === 0) this.#waiting.delete(user);
        reject(signal.reason);
      };
      const waiting: Waiting = {
        subject,
        begin() {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      mine.add(waiting);
      this.#waiting.set(user, mine);
      signal.addEventListener('abort', leave, { once: true });
      this.#admit();
    });
  }

  #admit(): void {
    const { atOnce, atOnceOfOne } = this.#limits;
    for (const [user, mine] of this.#waiting) {
      if (this.running >= atOnce) return;
      if (this.#runningOf(user) >= atOnceOfOne) continue;
      const next = [...mine].find(({ subject }) => this.#isFree(subject));
      if (!next) continue;
      mine.delete(next);
      // Behind all others, who come first now; an iteration meets it again there.
      this.#waiting.delete(user);
      if (mine.size > 0) this.#waiting.set(user, mine);
      count(this.#running, user, 1);
      if (next.subject !== undefined) count(this.#subjects, next.subject, 1);
      next.begin();
    }
  }

  #isFree(subject: string | undefined): boolean {
    const { atOnceOfSubject = Infinity } = this.#limits;
    return subject === undefined || (this.#subjects.get(subject) ?? 0) < atOnceOfSubject;
  }
}
