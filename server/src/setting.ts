/** What single settings can be wrong in beyond their schema, said in one way. */
import { readFile } from 'node:fs/promises';
import { StainError } from './errors.ts';

/** @param key of the configuration; the value is not told, for it may be secret */
export function invalidSetting(key: string, why: string, cause?: unknown): StainError {
  return new StainError('CONFIGURATION_INVALID', `${key}: ${why}`, { data: { key }, cause });
}

/** The file that a setting names. @throws CONFIGURATION_INVALID where it cannot be read */
export async function readSettingFile(key: string, file: string): Promise<Buffer> {
  return readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw invalidSetting(key, `the file cannot be read (${cause.code}).`, cause);
  });
}
