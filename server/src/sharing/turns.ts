/** Shares out a few slots: users take turns, so that one user's many tasks wait behind the few of others. */

import { StainError } from '../../../core/src/errors.ts';
import { count } from './count.ts';

export interface TurnLimits {
  /** Number of tasks that run at once. */
  readonly atOnce: number;
  /** How many of them may be one user's, so that hanging tasks of one user leave slots for others. */
  readonly atOnceOfOne: number;
  /** Maximum number of tasks of one user, running or waiting. */
  readonly maxOfOne: number;
  /**
   * How many of the running tasks, of all users, may concern one subject, so that tasks hanging there leave slots for
   * others.
   */
  readonly atOnceOfSubject?: number;
}

/** A waiting task. */
interface Waiting {
  readonly subject: string | undefined;
  /** Called when it is the task's turn. */
  begin(): void;
}

export class Turns {
  readonly #limits: TurnLimits;
  readonly #running = new Map<string, number>();
  /** By user; the first user is next, unless the user already has the maximum running. */
  readonly #waiting = new Map<string, Set<Waiting>>();
  /** Number of running tasks per subject. */
  readonly #subjects = new Map<string, number>();

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** Number of running tasks. */
  get running(): number {
    return [...this.#running.values()].reduce((sum, count) => sum + count, 0);
  }

  get waiting(): number {
    return [...this.#waiting.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Runs the work when a slot is free and it is the user's turn.
   * @param user id of the principal who asked
   * @param subject what the work is about, such as a slide
   * @throws QUEUE_FULL for more than `maxOfOne`, the reason of the signal if the caller leaves while waiting, and
   * whatever the work throws
   */
  async take<T>(user: string, signal: AbortSignal, work: () => Promise<T>, subject?: string): Promise<T> {
    signal.throwIfAborted();
    const { maxOfOne } = this.#limits;
    if (this.#runningOf(user) + (this.#waiting.get(user)?.size ?? 0) >= maxOfOne)
      throw new StainError(
        'QUEUE_FULL',
        `You already have ${maxOfOne} requests of this kind running or waiting.`,
        {
          data: { limit: maxOfOne },
        },
      );
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
      // Moved to the end: others come first now, and the iteration gets to this one again there.
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
