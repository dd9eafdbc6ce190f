/**
 * A lock for processes of several hosts on a shared file system: a file that only one of them can make (O_EXCL, atomic on NFS
 * too). A holder that was killed loses it: on the same host at once, elsewhere when it has not touched the file for a while.
 */
import { randomUUID } from 'node:crypto';
import { open, readFile, rm, stat, utimes } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { StainError, toStainError } from '../errors.ts';
import { isOfDeadProcess, PROCESS } from './process-identity.ts';

const TOUCH_MS = 5000;
const LONGEST_PAUSE_MS = 40;

export interface LockLimits {
  /** Silence after which a holder is taken for dead. By the clock of who waits, so clocks need not agree. Default 30 s. */
  readonly silenceMs?: number;
  /** Default 2 minutes. */
  readonly longestWaitMs?: number;
}

export interface FileLock extends AsyncDisposable {
  /** @throws SPOOL_FULL where this process was silent for so long that another one has the lock */
  requireHeld(): Promise<void>;
}

/** Tokens of this process: one of it that is not in here is left from a process of the same number. */
const held = new Set<string>();

/** Waits its turn. @throws SPOOL_FULL after the longest wait, or where the disk has no room for the file */
export async function lockFile(
  path: string,
  { silenceMs = 30_000, longestWaitMs = 120_000 }: LockLimits = {},
): Promise<FileLock> {
  const token = `${PROCESS}-${randomUUID()}`;
  const deadline = performance.now() + longestWaitMs;
  let seen: { readonly state: string; readonly at: number } | undefined;
  held.add(token);
  try {
    while (!(await tryMake(path, token))) {
      if (performance.now() > deadline)
        throw new StainError('SPOOL_FULL', 'The ledger of the spool is in use by others for too long.');
      const state = await stateOf(path);
      if (seen?.state !== state) seen = { state, at: performance.now() };
      const [owner = ''] = state.split(' ');
      if (isLeft(owner) || performance.now() - seen.at > silenceMs) await breakLock(path, owner, silenceMs);
      await pause(Math.random() * LONGEST_PAUSE_MS);
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
        throw new StainError('SPOOL_FULL', 'This process was silent, and another one took over the ledger.');
    },
    async [Symbol.asyncDispose]() {
      clearInterval(touch);
      if (await isOurs()) await rm(path, { force: true });
      held.delete(token);
    },
  };
}

/** @returns false where another one has it */
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

/** Changes while its holder lives. */
async function stateOf(path: string): Promise<string> {
  const { mtimeMs, ino } = await stat(path).catch(() => ({ mtimeMs: 0, ino: 0 }));
  return `${await ownerOf(path)} ${mtimeMs} ${ino}`;
}

/** Whether a lock is known to be left by a process of this host. One without a name is being made, or is left: time tells. */
function isLeft(owner: string): boolean {
  return owner !== '' && isOfDeadProcess(owner, held.has(owner));
}

/** Only one may break it: another one would remove the lock of who came next. */
async function breakLock(path: string, owner: string, silenceMs: number): Promise<void> {
  const guard = `${path}.broken`;
  if (!(await tryMake(guard, PROCESS))) {
    const { mtimeMs } = await stat(guard).catch(() => ({ mtimeMs: Date.now() }));
    // Who broke it was killed as well.
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
