/** Which answers hide something. The client hears that there is nothing; the audit trail, that somebody was refused. */
import type { StainError } from '../errors.ts';

const hidingErrors = new WeakSet<StainError>();

/** Marks an error that is said because the user may not see what was asked for. */
export function hiding(error: StainError): StainError {
  hidingErrors.add(error);
  return error;
}

export function isHiding(error: StainError): boolean {
  return hidingErrors.has(error);
}
