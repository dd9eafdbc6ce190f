/** Keeps two processes off one database folder: PGlite does not, and they would destroy it. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StainError } from '../errors.ts';
import { isRunning } from '../normalization/process-identity.ts';

/** Folders of this process: its own number in a lock file is a leftover unless the folder is in here. */
const held = new Set<string>();

/** @returns a function that gives the folder back. @throws CONFIGURATION_INVALID while another process has it */
export async function lockFolder(directory: string): Promise<() => Promise<void>> {
  // Without a slash at its end.
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
  // A leftover of a crash is replaced; of two that start at the same time, the second one fails on `wx`.
  await rm(file, { force: true });
  await writeFile(file, String(process.pid), { flag: 'wx', mode: 0o600 });
  return async () => {
    held.delete(file);
    await rm(file, { force: true });
  };
}
