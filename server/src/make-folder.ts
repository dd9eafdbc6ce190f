import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and its missing parents. Node's own recursive `mkdir` never returns, and cannot be cancelled, where a
 * file system says ENOENT although the parent exists, as /proc does.
 * @returns whether it is new
 * @throws the error of the file system
 */
export async function makeFolder(folder: string, mode?: number): Promise<boolean> {
  const path = resolve(folder);
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    if (await isFolder(path)) return false;
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || (await isFolder(parent))) throw error;
    await makeFolder(parent, mode);
    return makeFolder(path, mode);
  }
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
