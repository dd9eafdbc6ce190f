/** Errors in single settings that the schema cannot detect, all reported in the same way. */
import { readFile } from 'node:fs/promises';
import { StainError } from '../../core/src/errors.ts';
import { makeFolder } from './make-folder.ts';

/** @param key of the configuration; the value is not shown, because it may be secret */
export function invalidSetting(key: string, why: string, cause?: unknown): StainError {
  return new StainError('CONFIGURATION_INVALID', `${key}: ${why}`, { data: { key }, cause });
}

/** ` (line 3 column 7)`, for people who edit such files; never what is written there, which may be secret. */
function placeInJson(cause: unknown): string {
  const place = cause instanceof SyntaxError && / \(line \d+ column \d+\)/.exec(cause.message);
  return place ? place[0] : '';
}

/** Why a file with JSON in it was not read, as the end of a sentence. @param cause of reading or parsing it */
export function jsonFault(cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  return code === undefined ? `is not JSON${placeInJson(cause)}.` : `cannot be read (${code}).`;
}

/** On a disk that is read-only, or in a folder of somebody else. */
export function unwritable(key: string, cause: unknown): StainError {
  const { code } = cause as NodeJS.ErrnoException;
  return invalidSetting(
    key,
    `the folder cannot be written (${code}). Where the disk is read-only, mount a volume there, or name another folder.`,
    cause,
  );
}

/** Makes the folder that a setting names, for this user alone; one that exists stays as it is. @throws CONFIGURATION_INVALID */
export async function makeSettingFolder(key: string, folder: string): Promise<void> {
  await makeFolder(folder, 0o700).catch((cause: unknown) => {
    throw unwritable(key, cause);
  });
}

/** Reads the file that a setting names. @throws CONFIGURATION_INVALID if it cannot be read */
export async function readSettingFile(key: string, file: string): Promise<Buffer> {
  return readFile(file).catch((cause: NodeJS.ErrnoException) => {
    throw invalidSetting(key, `the file cannot be read (${cause.code}).`, cause);
  });
}

/**
 * Reads a secret from where its setting says it is, without the newline at its end.
 * @throws CONFIGURATION_INVALID if the secret is missing, or cannot be part of a header
 */
export async function readSecret(
  key: string,
  secret: { readonly file: string } | { readonly env: string },
): Promise<string> {
  const text =
    'file' in secret
      ? (await readSettingFile(key, secret.file)).toString('utf8')
      : (process.env[secret.env] ?? '');
  const value = text.replace(/\r?\n$/, '');
  if (value === '')
    throw invalidSetting(
      key,
      'file' in secret ? 'the file is empty.' : `the variable ${secret.env} is not set.`,
    );
  if (/\p{Cc}/u.test(value)) throw invalidSetting(key, 'the secret must be one line.');
  return value;
}
