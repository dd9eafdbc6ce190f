/**
 * A lock for processes of several hosts on a shared file system: a file that only one of them can create (O_EXCL,
 * atomic on NFS too). A killed holder loses the lock: at once on the same host; on another host when it has not touched
 * the file for a while.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { isOfDeadProcess, PROCESS } from './process-identity.ts';

const TOUCH_MS = 5000;
const MAX_PAUSE_MS = 40;

export interface LockLimits {
  /**
   * A holder silent for this long is presumed dead. Measured with the waiting process's clock, so clocks need not
   * agree. Default 30 s.
   */
  readonly silenceMs?: number;
  /** Default 2 minutes. */
  readonly maxWaitMs?: number;
}

export interface FileLock extends AsyncDisposable {
  /** @throws SPOOL_FULL if this process was silent for so long that another one has taken the lock */
  requireHeld(): Promise<void>;
}

/** Tokens held by this process: a token with our process ID that is not listed here is left from an earlier process. */
const held = new Set<string>();

/** Waits for the lock. @throws SPOOL_FULL after the longest wait, or if the disk has no room for the file */
export async function lockFile(
  path: string,
  { silenceMs = 30_000, maxWaitMs = 120_000 }: LockLimits = {},
): Promise<FileLock> {
  const token = `${PROCESS}-${randomUUID()}`;
  const deadline = performance.now() + maxWaitMs;
  let seen: { readonly state: string; readonly at: number } | undefined;
  held.add(token);
  try {
    while (!(await tryMake(path, token))) {
      if (performance.now() > deadline)
        throw new StainError('SPOOL_FULL', 'The ledger of the spool has been in use by others for too long.');
      const state = await stateOf(path);
      if (seen?.state !== state) seen = { state, at: performance.now() };
      const [owner = ''] = state.split(' ');
      if (isLeft(owner) || performance.now() - seen.at > silenceMs) await breakLock(path, owner, silenceMs);
      await pause(Math.random() * MAX_PAUSE_MS);
    }
  } catch (error) {
    held.delete(token);
    throw toStainError(error);
  }
  const touch = setInterval(
    () => void utimes(path, new Date(), new Date()).catch(() => {}),
    TOUCH_MS,
  ).unref();
  const isOurs = async (): Promise<boolean> => (await ownerOf(path)) === token;
  return {
    async requireHeld() {
      if (!(await isOurs()))
        throw new StainError(
          'SPOOL_FULL',
          'This process was unresponsive, and another one took over the ledger.',
        );
    },
    async [Symbol.asyncDispose]() {
      clearInterval(touch);
      if (await isOurs()) await rm(path, { force: true });
      held.delete(token);
    },
  };
}

/** @returns false if another process has the lock */
async function tryMake(path: string, token: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(token);
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    } finally {
      await file.close();
    }
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

const ownerOf = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

/** Changes as long as the holder lives. */
async function stateOf(path: string): Promise<string> {
  const { mtimeMs, ino } = await stat(path).catch(() => ({ mtimeMs: 0, ino: 0 }));
  return `${await ownerOf(path)} ${mtimeMs} ${ino}`;
}

/**
 * Whether a process of this host is known to have left the lock behind. A lock without a name is just being created, or
 * was left: time will tell.
 */
function isLeft(owner: string): boolean {
  return owner !== '' && isOfDeadProcess(owner, held.has(owner));
}

/** Only one process may break the lock: a second one would remove the lock of the next holder. */
async function breakLock(path: string, owner: string, silenceMs: number): Promise<void> {
  const guard = `${path}.broken`;
  if (!(await tryMake(guard, PROCESS))) {
    const { mtimeMs } = await stat(guard).catch(() => ({ mtimeMs: Date.now() }));
    // The process that was breaking the lock was killed too.
    if (Date.now() - mtimeMs > 2 * silenceMs || isOfDeadProcess(await ownerOf(guard), true))
      await rm(guard, { force: true });
    return;
  }
  try {
    if ((await ownerOf(path)) === owner) await rm(path, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}
