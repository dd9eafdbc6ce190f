/** A fault that nobody caught ends the process. Node would print it as it is; here it goes through the log. */
import type { Logger } from 'pino';

/** @returns until it is disposed of, what was thrown and not caught is logged, and ends the process with 1 */
export function reportCrashes(log: Pick<Logger, 'fatal'>): Disposable {
  const report = (err: unknown): void => {
    log.fatal({ err }, 'a fault that nobody caught: the process ends');
    process.exit(1);
  };
  // Rejections that nobody waits for come here as well (node --unhandled-rejections=throw, the default).
  process.on('uncaughtException', report);
  return { [Symbol.dispose]: () => void process.off('uncaughtException', report) };
}
