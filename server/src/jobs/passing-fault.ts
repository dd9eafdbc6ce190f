/** Which faults may be gone when the same is tried again. */
import { isPassing } from '../dicomweb/retry.ts';
import type { StainError } from '../errors.ts';

/** An archive that is away or busy, a full disk: nothing that is wrong with the slide or the request. */
export function isPassingFault(error: StainError): boolean {
  return isPassing(error) || error.code === 'ARCHIVE_TIMEOUT' || error.code === 'SPOOL_FULL';
}
