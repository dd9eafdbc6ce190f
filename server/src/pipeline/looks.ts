/** Limits how many slides are read while users wait. Users take turns, and each read has a time limit. */
import { withDeadline } from '../../../core/src/abortable.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import { Turns } from '../sharing/turns.ts';
import type { SeriesReference } from './series-reference.ts';

export class Looks {
  readonly #turns: Turns;
  readonly #seconds: number;

  /** These reads share codecs and network with each other and with the jobs. */
  constructor({
    fitsAtOnce,
    fitsPerUser,
    fitTimeoutSeconds,
  }: Pick<Config['limits'], 'fitsAtOnce' | 'fitsPerUser' | 'fitTimeoutSeconds'>) {
    this.#seconds = fitTimeoutSeconds;
    this.#turns = new Turns({
      atOnce: fitsAtOnce,
      atOnceOfOne: Math.ceil(fitsAtOnce / 2),
      maxOfOne: fitsPerUser,
      // A slide that the archive does not return delays only those who asked for it, however many they are.
      atOnceOfSubject: Math.ceil(fitsAtOnce / 2),
    });
  }

  /**
   * Runs the work in the requester's turn, within the time limit.
   * @throws QUEUE_FULL, FIT_TIMED_OUT and whatever the work throws
   */
  inTurn<T>(
    requester: string,
    { studyInstanceUid, seriesInstanceUid }: SeriesReference,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const subject = `${studyInstanceUid} ${seriesInstanceUid}`;
    return this.#turns.take(requester, signal, () => this.inTime(signal, work), subject);
  }

  /** Runs the work within the time limit. @throws FIT_TIMED_OUT and whatever the work throws */
  inTime<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const seconds = this.#seconds;
    const late = (cause: unknown): StainError =>
      new StainError('FIT_TIMED_OUT', `Reading the slide took more than ${seconds} s.`, {
        data: { seconds },
        cause,
      });
    return withDeadline({ seconds, late }, signal, work);
  }
}
