import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and its missing parents. Node's own recursive `mkdir` never returns, and cannot be cancelled, where a
 * file system says ENOENT although the parent exists, as /proc does.
 * @returns whether it is new
 * @throws the error of the file system
 */
export function makeFolder(folder: string, mode?: number): Promise<boolean> {
  return make(resolve(folder), mode, false);
}

/** @param hasParent it was there a moment ago */
async function make(path: string, mode: number | undefined, hasParent: boolean): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    if (await isFolder(path)) return false;
    const parent = dirname(path);
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT' && !hasParent && parent !== path;
    if (!isMissing) throw error;
    await make(parent, mode, false);
    return make(path, mode, true);
  }
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
