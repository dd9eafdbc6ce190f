/** Keeps two processes from using one database folder. PGlite does not, and they would corrupt it. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StainError } from '../../../core/src/errors.ts';
import { unwritable } from '../setting.ts';
import { isRunning } from '../spool/process-identity.ts';

/**
 * Folders locked by this process. If a lock file holds our own process ID and its folder is not listed here, the file
 * is a leftover.
 */
const held = new Set<string>();

/**
 * @returns a function that releases the folder
 * @throws CONFIGURATION_INVALID while another process holds it, or where nothing can be written
 */
export async function lockFolder(directory: string): Promise<() => Promise<void>> {
  // Without a trailing slash.
  const file = `${join(directory, '.')}.lock`;
  const owner = Number(await readFile(file, 'utf8').catch(() => '0'));
  if (held.has(file) || (owner > 0 && owner !== process.pid && isRunning(owner)))
    throw new StainError(
      'CONFIGURATION_INVALID',
      `The database folder ${directory} is in use by process ${owner}; if that is not this service, delete ${file}.`,
      {
        data: { key: 'database.directory' },
      },
    );
  held.add(file);
  try {
    // Replaces a leftover of a crash. If two processes start at the same time, the second fails on `wx`.
    await rm(file, { force: true });
    await writeFile(file, String(process.pid), { flag: 'wx', mode: 0o600 });
  } catch (cause) {
    held.delete(file);
    throw unwritable('database.directory', cause);
  }
  return async () => {
    held.delete(file);
    await rm(file, { force: true });
  };
}
