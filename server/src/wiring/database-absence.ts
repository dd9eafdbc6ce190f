/** Reports that the database is unavailable: at once, then at most once a minute, however many callers need it. */
import type { Logger } from 'pino';
import type { StainError } from '../../../core/src/errors.ts';

const REPEAT_MS = 60_000;

export class DatabaseAbsence {
  readonly #log: Logger;
  #nextWord = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /**
   * @param waits whether the process waits for the database before it starts: then it also tells the person on the
   * console
   */
  report(error: StainError, { waits = false } = {}): void {
    const now = performance.now();
    if (now < this.#nextWord) return;
    this.#nextWord = now + REPEAT_MS;
    this.#log.error({ code: error.code, err: error }, 'the database is unavailable');
    if (waits) process.stderr.write(`  database ${error.message} Waiting for the database.\n`);
  }
}
