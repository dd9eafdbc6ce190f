/**
 * Private folders for the parts of a slide in work. They hold patient images, so they are readable by us alone and always
 * removed: that of a preview or a command when it ends, that of a job when the job has ended or has been left for days. What
 * they take is reserved in the ledger (ledger.ts) before it is written, so that quota and disk are never overrun.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { StainError, toStainError } from '../errors.ts';
import { atWork, folderBytes, Ledger, TOUCH_MS, withLedger } from './ledger.ts';
import { PROCESS } from './process-identity.ts';
import { type Decision, decide, type Holding, type Room } from './room.ts';
import type { SeriesIdentity } from './types.ts';

const JOB = /^job-([0-9a-f-]{36})$/;
/** Room is taken in steps of at least this size and part: few looks into the ledger. */
const LEAST_STEP = 16e6;
const STEP_PART = 1 / 8;
/** Most of the spool that is set aside by an estimate; what turns out to be needed may be all of it. */
const MOST_ESTIMATED = 0.9;

export interface SpoolOptions {
  readonly directory: string;
  /** Most bytes in all folders together; without it the disk is the limit. */
  readonly quotaBytes?: number | undefined;
}

/** Bytes that work needs in the spool. */
export interface NeededRoom {
  /** It surely takes as many. */
  readonly least: number;
  /** It hardly takes more. */
  readonly likely: number;
}

export interface Spool {
  readonly directory: string;
  /** Path of a file that no other process has or will have. */
  newFile(name: string): string;
  /**
   * Sets aside what all files together will need, instead of what was set aside before. Where the estimate is nearly the whole
   * spool or more, that has to do, for the estimate may be too high: `take` goes by what is true.
   * @throws SPOOL_FULL unless disk and quota have room for it now, SPOOL_TOO_SMALL where they never have
   */
  reserve(needed: NeededRoom): Promise<void>;
  /** Before bytes are written. @throws SPOOL_FULL, SPOOL_TOO_SMALL where more is needed than was set aside, and there is none */
  take(bytes: number): Promise<void>;
  /** After as many bytes were removed. */
  give(bytes: number): void;
}

export interface JobSpool extends Spool {
  /** Takes the room that the attempt before was refused. @throws SPOOL_FULL, SPOOL_TOO_SMALL while there is none */
  regain(): Promise<void>;
  /**
   * The attempt is over: gives back what is reserved and not used. The files stay until `removeJobSpool`, or until somebody
   * else needs their room. @param state waiting: for room, or for another process; resting: for something else
   */
  putDown(state: 'waiting' | 'resting'): Promise<void>;
}

/** A folder for one use in this process. */
export async function createTemporarySpool(options: SpoolOptions): Promise<Spool & AsyncDisposable> {
  await makeParent(options.directory);
  const name = `temporary-${PROCESS}-${randomUUID()}`;
  return HeldSpool.open(options, name, undefined, name);
}

/**
 * The folder of a job, with what another attempt at it has left there. It stays until `removeJobSpool`.
 * @param identity older jobs come before younger ones where there is too little room
 */
export async function openJobSpool(
  options: SpoolOptions,
  { seriesUuid, createdAt }: Pick<SeriesIdentity, 'seriesUuid' | 'createdAt'>,
): Promise<JobSpool> {
  await makeParent(options.directory);
  return HeldSpool.open(options, `job-${seriesUuid}`, createdAt, `${PROCESS}-${randomUUID()}`);
}

export async function removeJobSpool(options: SpoolOptions, seriesUuid: string): Promise<void> {
  await removeFolder(options, `job-${seriesUuid}`);
}

/** The job has failed, and could go on if it were asked for again: until then its folder is the first to give way. */
export async function retainJobSpool({ directory }: SpoolOptions, seriesUuid: string): Promise<void> {
  if (!(await stat(directory).catch(() => undefined))) return;
  await withLedger(directory, async (ledger) => {
    const holding = ledger.find(`job-${seriesUuid}`);
    if (holding && holding.state !== 'working')
      ledger.set({ ...holding, state: 'failed', wants: 0, since: Date.now() });
  });
}

/**
 * For what can be refused before work begins.
 * @throws SPOOL_TOO_SMALL where the whole spool has no room for as many bytes
 */
export async function requireCapacity(options: SpoolOptions, bytes: number): Promise<void> {
  await makeParent(options.directory);
  const { capacity } = await diskRoom(options);
  if (bytes > capacity) throw tooSmall(bytes, capacity);
}

export interface SweepOptions {
  /** Folders of jobs in which nothing was written for this long are removed. */
  readonly keepDays: number;
  /** Whether a job has ended and leaves nothing to go on with. */
  isOver(seriesUuid: string): Promise<boolean>;
}

/** Removes what nobody needs any more: of processes that were killed, of jobs that are over or forgotten. */
export async function sweepSpools({ directory }: SpoolOptions, options: SweepOptions): Promise<void> {
  if (!(await stat(directory).catch(() => undefined))) return;
  const asked = Date.now();
  const found = await Ledger.read(directory);
  const over = new Set<string>();
  // Asked before the ledger is taken: the database may be slow.
  for (const { name } of found.all) {
    const seriesUuid = JOB.exec(name)?.[1];
    if (seriesUuid && (await options.isOver(seriesUuid))) over.add(name);
  }
  await withLedger(directory, async (ledger) => {
    await ledger.reap();
    for (const { name, state, since } of ledger.all) {
      // A process that was killed after its job had ended. One that has begun since may work for another job.
      const isLeftBehind = over.has(name) && asked - since > TOUCH_MS;
      if (state === 'working' && !isLeftBehind) continue;
      const { mtimeMs } = await stat(join(directory, name)).catch(() => ({ mtimeMs: since }));
      if (over.has(name) || Date.now() - mtimeMs > options.keepDays * 24 * 3_600_000)
        await ledger.remove(name);
    }
  });
}

export interface SpoolUse {
  /** Bytes of all files. */
  readonly used: number;
  /** Bytes that are set aside for work that goes on, its files included. */
  readonly reserved: number;
  /** Bytes of disk and quota that there are once the slides in work are done. */
  readonly attainable: number;
}

/** How full the spool is. */
export async function spoolUse(options: SpoolOptions): Promise<SpoolUse> {
  if (!(await stat(options.directory).catch(() => undefined))) return { used: 0, reserved: 0, attainable: 0 };
  const ledger = await Ledger.read(options.directory);
  const outstanding = await ledger.outstanding();
  const sum = (holdings: readonly Holding[]): number => holdings.reduce((all, { bytes }) => all + bytes, 0);
  const { capacity, diskFree } = await diskRoom(options);
  const used = Math.max(0, sum(ledger.all) - outstanding);
  return {
    used,
    reserved: sum(ledger.all.filter(({ state }) => state === 'working')),
    attainable: Math.min(capacity, diskFree + used),
  };
}

class HeldSpool implements JobSpool, AsyncDisposable {
  readonly directory: string;
  readonly #options: SpoolOptions;
  readonly #name: string;
  readonly #owner: string;
  readonly #touch: NodeJS.Timeout;
  /** Bytes written, or about to be. */
  #used: number;
  /** Bytes that the ledger has for this folder. */
  #granted: number;
  /** Bytes in all that the attempt before was refused; 0 where they were no more than is estimated again. */
  #wantedBefore: number;
  /** Bytes in all that this one was refused last. */
  #wants = 0;

  private constructor(options: SpoolOptions, { name, owner, bytes, wants }: Holding, used: number) {
    this.#options = options;
    this.#name = name;
    this.#owner = owner;
    this.#used = used;
    this.#granted = bytes;
    this.#wantedBefore = wants;
    this.directory = join(options.directory, name);
    const touch = (): void => void utimes(this.directory, new Date(), new Date()).catch(() => {});
    this.#touch = setInterval(touch, TOUCH_MS).unref();
  }

  /** @param owner of this attempt alone */
  static async open(
    options: SpoolOptions,
    name: string,
    createdAt: string | undefined,
    owner: string,
  ): Promise<HeldSpool> {
    atWork.add(owner);
    try {
      return await withLedger(options.directory, async (ledger) => {
        const folder = join(options.directory, name);
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const used = await folderBytes(folder);
        const found = ledger.find(name);
        const { capacity } = await diskRoom(options);
        const wanted = found?.wants ?? 0;
        const holding: Holding = {
          name,
          // Of an attempt that was killed: what it had reserved is reserved for the same job.
          bytes: Math.max(used, found?.bytes ?? 0),
          state: 'working',
          // Of a larger spool than this one: a part of it was set aside by an estimate, and nothing is known that is too much here.
          wants: wanted <= capacity ? wanted : 0,
          createdAt,
          since: Date.now(),
          owner,
        };
        ledger.set(holding);
        return new HeldSpool(options, holding, used);
      });
    } catch (error) {
      atWork.delete(owner);
      throw error;
    }
  }

  newFile(name: string): string {
    return join(this.directory, `${name}-${randomUUID()}`);
  }

  async regain(): Promise<void> {
    if (this.#wantedBefore > this.#granted)
      await withLedger(this.#options.directory, (ledger) => this.#ask(ledger, this.#wantedBefore)).then(
        throwAny,
      );
  }

  async reserve({ least, likely }: NeededRoom): Promise<void> {
    await withLedger(this.#options.directory, async (ledger) => {
      const { capacity } = await diskRoom(this.#options);
      if (least > capacity) throw tooSmall(least, capacity);
      const estimate = Math.min(likely, MOST_ESTIMATED * capacity);
      // What was found out before, byte by byte, is better known than any estimate.
      if (this.#wantedBefore <= estimate) this.#wantedBefore = 0;
      return this.#ask(ledger, Math.max(this.#used, estimate, this.#wantedBefore));
    }).then(throwAny);
  }

  async take(bytes: number): Promise<void> {
    this.#used += bytes;
    if (this.#used <= this.#granted) return;
    try {
      await withLedger(this.#options.directory, (ledger) => this.#grow(ledger)).then(throwAny);
    } catch (error) {
      this.#used -= bytes;
      throw error;
    }
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }

  async putDown(state: 'waiting' | 'resting'): Promise<void> {
    this.#leave();
    // Where this fails, because the disk is full, others find that nobody works here any more.
    await withLedger(this.#options.directory, async (ledger) => {
      const own = this.#find(ledger);
      if (!own) return;
      const wants = state === 'waiting' ? this.#wants : 0;
      const bytes = await folderBytes(this.directory);
      ledger.set({ ...own, state, wants, bytes, since: Date.now() });
    }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#leave();
    await removeFolder(this.#options, this.#name);
  }

  #leave(): void {
    clearInterval(this.#touch);
    atWork.delete(this.#owner);
  }

  async #grow(ledger: Ledger): Promise<StainError | undefined> {
    // While this one waited for the ledger, another one may have taken a step.
    if (this.#used <= this.#granted) return undefined;
    return this.#ask(ledger, this.#used, this.#used + Math.max(LEAST_STEP, this.#granted * STEP_PART));
  }

  /** What the ledger has for this attempt; undefined where another one has the folder. One that was lost knew no owners. */
  #find(ledger: Ledger): Holding | undefined {
    const found = ledger.find(this.#name);
    return found?.owner === this.#owner || found?.owner === '' ? found : undefined;
  }

  /**
   * Asks for so many bytes in all. @param welcome as many where nobody has to give way for them
   * @returns why there are none: the ledger keeps in mind who was refused what
   */
  async #ask(ledger: Ledger, bytes: number, welcome = bytes): Promise<StainError | undefined> {
    const own = this.#find(ledger);
    if (!own) return new StainError('CANCELLED', 'Another attempt has taken over the folder in the spool.');
    const { capacity, diskFree } = await diskRoom(this.#options);
    if (bytes > capacity) return tooSmall(bytes, capacity);
    let outstanding = await ledger.outstanding();
    const ask = (total: number): Decision =>
      decide(ledger.all, own, total, { capacity, diskFree: diskFree - outstanding }, Date.now());
    const grant = (total: number): void => {
      [this.#granted, this.#wants] = [total, 0];
      ledger.set({ ...own, state: 'working', owner: this.#owner, bytes: total, wants: 0 });
    };
    if (isFree(ask(welcome))) return void grant(welcome);
    let decision = ask(bytes);
    if (!isFree(decision)) {
      await ledger.reap();
      outstanding = await ledger.outstanding();
      decision = ask(bytes);
    }
    if (!decision.granted) {
      this.#wants = bytes;
      ledger.set({ ...own, owner: this.#owner, wants: bytes });
      return full(bytes - own.bytes, decision);
    }
    for (const name of decision.evicted) await ledger.evict(name);
    return void grant(bytes);
  }
}

const isFree = (decision: Decision): boolean => decision.granted && decision.evicted.length === 0;

async function removeFolder({ directory }: SpoolOptions, name: string): Promise<void> {
  // First the files: the ledger cannot be written while the disk is full.
  await rm(join(directory, name), { recursive: true, force: true });
  if (await stat(directory).catch(() => undefined))
    await withLedger(directory, (ledger) => ledger.remove(name));
}

async function makeParent(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw toStainError(error);
  }
}

async function diskRoom({ directory, quotaBytes = Infinity }: SpoolOptions): Promise<Room> {
  const { bavail, bfree, blocks, bsize } = await statfs(directory);
  // Blocks that only root may use are in `bfree`.
  const disk = (blocks - bfree + bavail) * bsize;
  return { capacity: Math.min(quotaBytes, disk), diskFree: bavail * bsize };
}

function full(more: number, { free, inLine }: Decision & { readonly granted: false }): StainError {
  return new StainError(
    'SPOOL_FULL',
    `There are ${megabytes(free)} left in the spool; ${megabytes(more)} are needed.`,
    { data: { needed: Math.ceil(more), free: Math.floor(free), inLine } },
  );
}

function tooSmall(bytes: number, capacity: number): StainError {
  return new StainError(
    'SPOOL_TOO_SMALL',
    `The slide needs ${megabytes(bytes)} in the spool; it has ${megabytes(capacity)} in all.`,
    { data: { needed: Math.ceil(bytes), quota: Math.floor(capacity) } },
  );
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

function throwAny(error: StainError | undefined): void {
  if (error) throw error;
}
