/** Errors that hide something: the client learns that there is nothing, the audit trail that a user was refused. */
import { StainError } from '../../../core/src/errors.ts';

/** The error as shown to a user who may not see what was requested. */
export function hiding({ code, message, data, cause }: StainError): StainError {
  return new StainError(code, message, { data, cause, hides: true });
}
