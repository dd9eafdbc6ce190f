/** A private folder for the frames of one job. It holds patient images, so it is readable by us alone and always removed. */
import { mkdir, mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { StainError } from '../errors.ts';

const PREFIX = 'stain-job-';

export interface Spool extends AsyncDisposable {
  readonly directory: string;
  /** Throws SPOOL_FULL unless the disk has room for `bytes` more. */
  requireRoom(bytes: number): Promise<void>;
}

export async function createSpool(parent: string): Promise<Spool> {
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const directory = await mkdtemp(join(parent, PREFIX));
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

/** Removes what a killed process left behind. Call it at start-up, before any job runs. */
export async function removeAbandonedSpools(parent: string): Promise<void> {
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((name) => name.startsWith(PREFIX)))
    await rm(join(parent, name), { recursive: true, force: true });
}
