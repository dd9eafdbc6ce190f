/** A private folder for the frames of one job. It holds patient images, so it is readable by us alone and always removed. */
import { mkdir, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { StainError } from '../errors.ts';

const PREFIX = 'stain-job-';
const NAME = /^stain-job-(\d+)-/;

export interface Spool extends AsyncDisposable {
  readonly directory: string;
  /** Throws SPOOL_FULL unless the disk has room for `bytes` more. */
  requireRoom(bytes: number): Promise<void>;
}

export async function createSpool(parent: string): Promise<Spool> {
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const directory = await mkdtemp(join(parent, `${PREFIX}${process.pid}-`));
  return {
    directory,
    async requireRoom(bytes) {
      const { bavail, bsize } = await statfs(directory);
      if (bavail * bsize < bytes)
        throw new StainError(
          'SPOOL_FULL',
          `The spool folder has ${Math.floor((bavail * bsize) / 1e6)} MB free; ${Math.ceil(bytes / 1e6)} MB are needed.`,
        );
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

/** Removes what killed processes left behind: they hold patient images. The folders of running ones stay. */
export async function removeAbandonedSpools(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names) {
    const pid = Number(NAME.exec(name)?.[1]);
    if (pid && !isRunning(pid)) await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
