/**
 * The ledger of a spool: how much each of its folders may take. A small file in the spool, changed by one process at a
 * time and replaced as a whole, so that all processes sharing the spool use the same numbers, whichever of them is
 * killed.
 */
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import { z } from 'zod';
import { toStainError } from '../../../core/src/errors.ts';
import { type FileLock, lockFile } from './file-lock.ts';
import { isOfDeadProcess, isOfThisHost } from './process-identity.ts';
import type { Holding } from './room.ts';

const FILE = 'ledger.json';
const FOLDER = /^(temporary|job)-[0-9a-f]+-/;
const isTemporary = (name: string): boolean => name.startsWith('temporary-');

/** A folder in use is touched every minute; on another host, one that was not touched for that long is unused. */
export const TOUCH_MS = 60_000;
const SILENCE_MS = 60 * 60_000;
/** For the attempt at the same work, whose user waits: a few touches were missed. */
const SHORT_SILENCE_MS = 3 * TOUCH_MS;

const schema = z.array(
  z.strictObject({
    name: z.string().regex(FOLDER),
    bytes: z.number().min(0),
    state: z.enum(['working', 'waiting', 'resting', 'failed']),
    wants: z.number().min(0),
    createdAt: z.string().optional(),
    since: z.number(),
    owner: z.string(),
  }),
);

/** Attempts of this process that are running. */
export const atWork = new Set<string>();

/** Processes wait for each other with the lock; callers in one process wait here, in order. */
const queues = new Map<string, LimitFunction>();

/**
 * Reads the ledger, lets `change` modify it, and writes it, to the exclusion of everybody else.
 * @throws SPOOL_FULL if the disk has no room for it
 */
export function withLedger<T>(directory: string, change: (ledger: Ledger) => Promise<T>): Promise<T> {
  const queue = queues.get(directory) ?? pLimit(1);
  queues.set(directory, queue);
  return queue(async () => {
    try {
      await using lock = await lockFile(join(directory, 'ledger.lock'));
      const ledger = await Ledger.read(directory);
      const result = await change(ledger);
      await ledger.write(lock);
      return result;
    } catch (error) {
      throw toStainError(error);
    }
  });
}

export class Ledger {
  readonly directory: string;
  readonly #holdings: Map<string, Holding>;
  readonly #before: string;

  private constructor(directory: string, holdings: Map<string, Holding>, before: string) {
    this.directory = directory;
    this.#holdings = holdings;
    this.#before = before;
  }

  static async read(directory: string): Promise<Ledger> {
    const before = await readFile(join(directory, FILE), 'utf8').catch(() => '');
    const holdings = new Map(parse(before).map((holding) => [holding.name, holding]));
    for (const name of await readdir(directory))
      if (FOLDER.test(name) && !holdings.has(name)) holdings.set(name, await unknown(directory, name));
    return new Ledger(directory, holdings, before);
  }

  async write(lock: FileLock): Promise<void> {
    const after = this.#holdings.size === 0 ? '' : JSON.stringify(this.all);
    if (after === this.#before) return;
    await lock.requireHeld();
    const path = join(this.directory, FILE);
    if (after === '') return rm(path, { force: true });
    await writeFile(`${path}.new`, after, { mode: 0o600 });
    await rename(`${path}.new`, path);
  }

  get all(): Holding[] {
    return [...this.#holdings.values()];
  }

  find(name: string): Holding | undefined {
    return this.#holdings.get(name);
  }

  /** Whether a running process works in a folder. */
  async isInUse(name: string): Promise<boolean> {
    const holding = this.#holdings.get(name);
    if (holding?.state !== 'working') return false;
    const found = await stat(join(this.directory, name)).catch(() => undefined);
    return isAtWork(holding, found?.mtimeMs ?? 0, SHORT_SILENCE_MS);
  }

  set(holding: Holding): void {
    this.#holdings.set(holding.name, holding);
  }

  /** Removes a folder to make room for another one. What its job waits for is remembered if the job may come back. */
  async evict(name: string): Promise<void> {
    const holding = this.#holdings.get(name);
    await this.remove(name);
    if (holding && holding.state !== 'failed') this.set({ ...holding, bytes: 0 });
  }

  /** Removes a folder and everything known about it. */
  async remove(name: string): Promise<void> {
    await rm(join(this.directory, name), { recursive: true, force: true });
    this.#holdings.delete(name);
  }

  /** Bytes on disk of the folders in use, by name: the rest of their reservation is still to be written. */
  async outstanding(): Promise<number> {
    let bytes = 0;
    for (const holding of this.all)
      if (holding.state === 'working')
        bytes += Math.max(0, holding.bytes - (await folderBytes(join(this.directory, holding.name))));
    return bytes;
  }

  /** Releases what killed processes had reserved, and forgets folders that are gone. */
  async reap(): Promise<void> {
    for (const holding of this.all) {
      const { name, state } = holding;
      const folder = join(this.directory, name);
      const found = await stat(folder).catch(() => undefined);
      if (state !== 'working') {
        // An evicted folder is remembered as long as its job may come back.
        if (!found && Date.now() - holding.since > SILENCE_MS) this.#holdings.delete(name);
      } else if (!isAtWork(holding, found?.mtimeMs ?? 0)) {
        if (!found || isTemporary(name)) await this.remove(name);
        else
          this.set({
            ...holding,
            state: 'waiting',
            bytes: await folderBytes(folder),
            since: found.mtimeMs,
          });
      }
    }
  }
}

/** Whether the process working in a folder still does, as far as can be told from here. */
function isAtWork({ owner }: Holding, touchedMs: number, silenceMs = SILENCE_MS): boolean {
  if (isOfThisHost(owner)) return !isOfDeadProcess(owner, atWork.has(owner));
  return Date.now() - touchedMs < silenceMs;
}

/** A damaged ledger is rebuilt from the contents of the folders. */
function parse(text: string): Holding[] {
  try {
    return schema.parse(JSON.parse(text)).map((holding) => ({ createdAt: undefined, ...holding }));
  } catch {
    return [];
  }
}

/** A folder of an earlier version, or of a lost ledger: somebody may be working in it. */
async function unknown(directory: string, name: string): Promise<Holding> {
  const folder = join(directory, name);
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
  return {
    name,
    bytes: await folderBytes(folder),
    state: 'working',
    wants: 0,
    createdAt: isTemporary(name) ? undefined : new Date(mtimeMs).toISOString(),
    since: mtimeMs,
    owner: isTemporary(name) ? name : '',
  };
}

/** Total size of all files of a folder. */
export async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  let bytes = 0;
  for (const name of names) {
    // Removed in the meantime.
    const found = await stat(join(folder, name)).catch(() => undefined);
    if (found?.isFile()) bytes += found.size;
  }
  return bytes;
}
