/** An uncaught error ends the process. Node would print it as it is; here it goes through the log. */
import type { Logger } from 'pino';

/** @returns until disposed, uncaught errors are logged and end the process with exit code 1 */
export function reportCrashes(log: Pick<Logger, 'fatal'>): Disposable {
  const report = (err: unknown): void => {
    log.fatal({ err }, 'uncaught error: the process ends');
    process.exit(1);
  };
  // Unhandled rejections arrive here as well (node --unhandled-rejections=throw, the default).
  process.on('uncaughtException', report);
  return { [Symbol.dispose]: () => void process.off('uncaughtException', report) };
}
