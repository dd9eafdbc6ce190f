/** Damage in the bytes of an image, and where it is: nobody finds it without knowing which image it is in. */
import { type ErrorCode, StainError } from '../../../core/src/errors.ts';

/** Errors in the bytes of an image, as opposed to errors in transport. */
export const DAMAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'DICOM_INVALID',
  'FRAME_INVALID',
  'FRAME_SIZE_MISMATCH',
  'PIXEL_FORMAT_UNSUPPORTED',
  'TRANSFER_SYNTAX_UNSUPPORTED',
]);

/** Rethrows anything that is not damage. @throws the error itself */
export function requireDamage(error: unknown): StainError {
  if (isDamage(error)) return error;
  throw error;
}

/** undefined for something damaged, which is reported when it is read for its own sake. */
export async function unlessDamaged<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    requireDamage(error);
    return undefined;
  }
}

/** The error with the place of the damage; any other error as it is. @param frame counted from 1 */
export function placed(error: unknown, sopInstanceUid: string, frame?: number): unknown {
  if (!isDamage(error) || error.data['sopInstanceUid'] !== undefined) return error;
  const place = `${frame === undefined ? '' : `frame ${frame} of `}instance ${sopInstanceUid}`;
  return new StainError(error.code, `${error.message} It is ${place}.`, {
    data: { ...error.data, sopInstanceUid, ...(frame !== undefined && { frame }) },
    cause: error,
  });
}

function isDamage(error: unknown): error is StainError {
  return error instanceof StainError && DAMAGE.has(error.code);
}
