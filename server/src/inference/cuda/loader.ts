/** Asks the system's loader (ld.so of glibc) which libraries it would load. Nothing is run: `ldd` asks in the same way. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Where every Linux on x86-64 has it (System V ABI, AMD64 supplement). */
const LOADER = '/lib64/ld-linux-x86-64.so.2';
const TIMEOUT_MS = 30_000;

/** Paths by library name; undefined if the loader does not find the library. */
export type FoundLibraries = ReadonlyMap<string, string | undefined>;

/**
 * All libraries that `file` needs, directly or indirectly, and those in `names`.
 * @param file program or shared library
 * @param environment has LD_LIBRARY_PATH as the process that is to load the file was started with
 * @throws Error if the loader cannot load the file itself, or if there is no such loader
 */
export async function askLoader(
  file: string,
  names: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<FoundLibraries> {
  const { stdout } = await promisify(execFile)(LOADER, ['--preload', names.join(' '), file], {
    env: { ...environment, LD_TRACE_LOADED_OBJECTS: '1' },
    timeout: TIMEOUT_MS,
  });
  const found = new Map<string, string | undefined>(names.map((name) => [name, undefined]));
  // "  libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f9c4f645000)" or "  libcuda.so.1 => not found"
  for (const line of stdout.split('\n')) {
    const [name, place] = line.trim().split(' => ');
    const path = place?.split(' (0x')[0];
    if (name && path) found.set(name, path === 'not found' ? undefined : path);
  }
  return found;
}
