/**
 * Private folders for the parts of a slide in work. They hold patient images, so they are readable by us alone and always
 * removed: that of a preview or a command when it ends, that of a job when the job has ended or has been left for days.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, stat, statfs } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { StainError, toStainError } from '../errors.ts';

/** Of this host, without telling its name: a number of a process means nothing on another one. */
const HOST = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);
const TEMPORARY = /^temporary-([0-9a-f]{8})-(\d+)-/;
const JOB = /^job-([0-9a-f-]{36})$/;
/** Of this process: in a container its number is that of the one that was killed before it. */
const held = new Set<string>();

export interface SpoolOptions {
  readonly directory: string;
  /** Most bytes in all folders together; without it the disk is the limit. */
  readonly quotaBytes?: number | undefined;
}

export interface Spool {
  readonly directory: string;
  /** Path of a file that no other process has or will have. */
  newFile(name: string): string;
  /** @throws SPOOL_FULL unless disk and quota have room for `bytes` more */
  requireRoom(bytes: number): Promise<void>;
}

/** A folder for one use in this process. */
export async function createTemporarySpool(options: SpoolOptions): Promise<Spool & AsyncDisposable> {
  await makeParent(options.directory);
  const folder = await mkdtemp(join(options.directory, `temporary-${HOST}-${process.pid}-`));
  held.add(basename(folder));
  return {
    ...spoolIn(folder, options),
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true, force: true });
      held.delete(basename(folder));
    },
  };
}

/** The folder of a job, with what another attempt at it has left there. It stays until `removeJobSpool`. */
export async function openJobSpool(options: SpoolOptions, jobUuid: string): Promise<Spool> {
  await makeParent(options.directory);
  const folder = jobFolder(options, jobUuid);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return spoolIn(folder, options);
}

export async function removeJobSpool(options: SpoolOptions, jobUuid: string): Promise<void> {
  await rm(jobFolder(options, jobUuid), { recursive: true, force: true });
}

export interface SweepOptions {
  /** Folders of jobs in which nothing was written for this long are removed. */
  readonly keepDays: number;
  /** Whether a job has ended and leaves nothing to go on with. */
  isOver(jobUuid: string): Promise<boolean>;
}

/** Removes what nobody needs any more: of processes of this host that were killed, of jobs that are over or forgotten. */
export async function sweepSpools({ directory }: SpoolOptions, options: SweepOptions): Promise<void> {
  for (const name of await readdir(directory).catch(() => []))
    if (await isLeftOver(join(directory, name), name, options))
      await rm(join(directory, name), { recursive: true, force: true });
}

async function isLeftOver(folder: string, name: string, options: SweepOptions): Promise<boolean> {
  const [, host, pid] = TEMPORARY.exec(name) ?? [];
  if (host === HOST) return !(Number(pid) === process.pid ? held.has(name) : isRunning(Number(pid)));
  const jobUuid = JOB.exec(name)?.[1];
  if (!host && !jobUuid) return false;
  if (jobUuid && (await options.isOver(jobUuid))) return true;
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
  return Date.now() - mtimeMs > options.keepDays * 24 * 3_600_000;
}

/** Bytes in all folders together. */
export async function spooledBytes({ directory }: SpoolOptions): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(directory, name)).then(
        (found) => (found.isFile() ? found.size : 0),
        // Removed meanwhile.
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function makeParent(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw toStainError(error);
  }
}

function jobFolder({ directory }: SpoolOptions, jobUuid: string): string {
  return join(directory, `job-${jobUuid}`);
}

function spoolIn(directory: string, options: SpoolOptions): Spool {
  return {
    directory,
    newFile: (name) => join(directory, `${name}-${randomUUID()}`),
    async requireRoom(bytes) {
      const { bavail, bsize } = await statfs(directory);
      requireBytes('the disk of the spool folder', bavail * bsize, bytes);
      if (options.quotaBytes !== undefined)
        requireBytes('the quota of the spool', options.quotaBytes - (await spooledBytes(options)), bytes);
    },
  };
}

function requireBytes(what: string, free: number, bytes: number): void {
  if (free >= bytes) return;
  throw new StainError(
    'SPOOL_FULL',
    `There are ${Math.max(0, Math.floor(free / 1e6))} MB left on ${what}; ${Math.ceil(bytes / 1e6)} MB are needed.`,
  );
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // EPERM: it runs, under another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
