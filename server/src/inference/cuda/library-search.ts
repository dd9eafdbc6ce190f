/** Finds shared libraries by name where the loader of the system (ld.so) would find them. */
import { execFile } from 'node:child_process';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Folders that ld.so searches without being told, on Debian's and on Red Hat's layout. */
const DEFAULT_FOLDERS = ['/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu', '/lib64', '/usr/lib64'];

/** Answers the path of a library, or undefined where the loader would find none. */
export type FindLibrary = (name: string) => Promise<string | undefined>;

/**
 * In the loader's order: LD_LIBRARY_PATH, the cache of ldconfig, the default folders.
 * @param environment the variables this process was started with: the loader read them then, and not since
 */
export async function loaderSearch(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<FindLibrary> {
  const named = (environment['LD_LIBRARY_PATH'] ?? '').split(':').filter(Boolean);
  const cached = await readLoaderCache();
  return async (name) => {
    const candidates = [
      ...named.map((folder) => join(folder, name)),
      ...(cached.get(name) ?? []),
      ...DEFAULT_FOLDERS.map((folder) => join(folder, name)),
    ];
    for (const path of candidates) if (await isReadable(path)) return path;
    return undefined;
  };
}

/** Paths by library name from `ldconfig -p`; empty on a system without it. */
async function readLoaderCache(): Promise<Map<string, string[]>> {
  const paths = new Map<string, string[]>();
  // Not on the PATH of ordinary users.
  const listing = await promisify(execFile)('/sbin/ldconfig', ['-p']).catch(() => ({ stdout: '' }));
  // "  libcuda.so.1 (libc6,x86-64) => /usr/lib/x86_64-linux-gnu/libcuda.so.1"
  for (const line of listing.stdout.split('\n')) {
    const [name, kind, path] = line.trim().split(/ \(|\) => /);
    if (name && path && kind?.includes('x86-64')) paths.set(name, [...(paths.get(name) ?? []), path]);
  }
  return paths;
}

async function isReadable(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
