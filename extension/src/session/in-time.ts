/** Work that waits for an archive. */
import { withDeadline } from '../../../core/src/abortable.ts';
import { PluginError } from '../plugin-error.ts';

/** How long an archive may take to send what a slide's viewer begins with. */
const SLIDE_SECONDS = 60;

/** @throws SLIDE_LATE */
export function inTime<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = (cause: unknown): Error => new PluginError('SLIDE_LATE', {}, cause);
  return withDeadline({ seconds: SLIDE_SECONDS, late }, signal, work);
}
