/** Keeps compiled code between commands: each starts in three fifths of the time (docs/command-line.md). */
import { mkdir, stat } from 'node:fs/promises';
import { enableCompileCache, getCompileCacheDir } from 'node:module';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/** Bits of a file's mode: others may write. */
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Uses the user's own cache folder (XDG Base Directory Specification). Without one that can be written, or with Node's
 * NODE_DISABLE_COMPILE_CACHE, nothing is kept; with its NODE_COMPILE_CACHE, Node keeps it there.
 */
export async function keepCompiledCode(env: NodeJS.ProcessEnv): Promise<void> {
  if (getCompileCacheDir() !== undefined || env['NODE_DISABLE_COMPILE_CACHE']) return;
  const directory = await ownFolder(env);
  if (directory === undefined) return;
  // Worker threads read the variable.
  if (enableCompileCache(directory).directory) env['NODE_COMPILE_CACHE'] = directory;
}

/** A folder that nobody else can write: whatever lies there is executed. */
async function ownFolder({ XDG_CACHE_HOME: cache }: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    // The specification says that a relative path is to be ignored.
    const base = cache && isAbsolute(cache) ? cache : join(homedir(), '.cache');
    const directory = join(base, 'stain-normalization');
    // The home itself is not ours to make.
    for (const folder of [base, directory]) await mkdir(folder, { mode: 0o700 }).catch(() => {});
    const { uid, mode } = await stat(directory);
    return uid === process.getuid?.() && (mode & WRITABLE_BY_OTHERS) === 0 ? directory : undefined;
  } catch {
    return undefined;
  }
}
