/**
 * Private folders for the parts of a slide being processed. They hold patient images, so only this service can read
 * them, and they are always removed: the folder of a preview or command when it ends, the folder of a job when the job
 * has ended or was left for days. Whatever they take is reserved in the ledger (ledger.ts) before it is written, so
 * that quota and disk are never exceeded.
 */
import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { StainError } from '../../../core/src/errors.ts';
import { makeFolder } from '../make-folder.ts';
import { atWork, folderBytes, Ledger, TOUCH_MS, withLedger } from './ledger.ts';
import { PROCESS } from './process-identity.ts';
import { type Decision, decide, type Holding, type Room } from './room.ts';

const JOB = /^job-([0-9a-f-]{36})$/;
/** Minimum step, in bytes and as a fraction, for reserving room: keeps accesses to the ledger rare. */
const MIN_STEP = 16e6;
const STEP_PART = 1 / 8;
/** Maximum fraction of the spool reserved by an estimate; what turns out to be needed may be all of it. */
const MAX_ESTIMATED = 0.9;

export interface SpoolOptions {
  readonly directory: string;
  /** Maximum bytes in all folders together; if undefined, the disk is the limit. */
  readonly quotaBytes?: number | undefined;
}

/** Bytes that work needs in the spool. */
export interface NeededRoom {
  /** It certainly takes this many. */
  readonly minimum: number;
  /** It rarely takes more. */
  readonly likely: number;
}

export interface Spool {
  readonly directory: string;
  /** Path of a file that no other process has or will have. */
  newFile(name: string): string;
  /**
   * Reserves what all files together will need, replacing the previous reservation. If the estimate is nearly the whole
   * spool or more, that much has to do, because the estimate may be too high: `take` goes by the true size.
   * @throws SPOOL_FULL unless disk and quota have room for it now, SPOOL_TOO_SMALL if they never will
   */
  reserve(needed: NeededRoom): Promise<void>;
  /**
   * Call before writing bytes. @throws SPOOL_FULL, SPOOL_TOO_SMALL if more is needed than reserved and there is no room
   */
  take(bytes: number): Promise<void>;
  /** Call after removing as many bytes. */
  give(bytes: number): void;
}

export interface JobSpool extends Spool {
  /**
   * Reserves the room that was refused to the previous attempt. @throws SPOOL_FULL, SPOOL_TOO_SMALL while there is none
   */
  regain(): Promise<void>;
  /**
   * The attempt is over: releases what is reserved and unused. The files stay until `removeJobSpool`, or until somebody
   * else needs their room.
   * @param state waiting: for room, or for another process; resting: for something else
   */
  putDown(state: 'waiting' | 'resting'): Promise<void>;
}

/**
 * A folder for one use in this process.
 * @param onlyFree takes no room from jobs that are waiting or have failed
 */
export async function createTemporarySpool(
  options: SpoolOptions,
  { onlyFree = false }: { readonly onlyFree?: boolean } = {},
): Promise<Spool & AsyncDisposable> {
  await makeSpoolFolder(options.directory);
  const name = `temporary-${PROCESS}-${randomUUID()}`;
  return HeldSpool.open(options, name, undefined, name, { onlyFree });
}

/**
 * The folder of a job, with what another attempt left there. It stays until `removeJobSpool`.
 * @param identity older jobs come first if there is too little room
 * @param onlyIdle does not take it from an attempt that is running: a service knows that one is over, a command does not
 * @throws SERIES_IN_PROGRESS for `onlyIdle`
 */
export async function openJobSpool(
  options: SpoolOptions,
  { seriesUuid, createdAt }: { readonly seriesUuid: string; readonly createdAt: string },
  { onlyIdle = false }: { readonly onlyIdle?: boolean | undefined } = {},
): Promise<JobSpool> {
  await makeSpoolFolder(options.directory);
  const name = `job-${seriesUuid}`;
  const owner = `${PROCESS}-${randomUUID()}`;
  return HeldSpool.open(options, name, createdAt, owner, { onlyIdle });
}

export async function removeJobSpool(options: SpoolOptions, seriesUuid: string): Promise<void> {
  await removeFolder(options, `job-${seriesUuid}`);
}

/** The same, unless another attempt has taken over the folder. */
export async function removeIdleJobSpool(options: SpoolOptions, seriesUuid: string): Promise<void> {
  if (!(await stat(options.directory).catch(() => undefined))) return;
  const ledger = await Ledger.read(options.directory);
  if (!(await ledger.isInUse(`job-${seriesUuid}`))) await removeJobSpool(options, seriesUuid);
}

/** The job has failed and could resume if it were requested again: until then its folder is the first to be evicted. */
export async function retainJobSpool({ directory }: SpoolOptions, seriesUuid: string): Promise<void> {
  if (!(await stat(directory).catch(() => undefined))) return;
  await withLedger(directory, async (ledger) => {
    const holding = ledger.find(`job-${seriesUuid}`);
    if (holding && holding.state !== 'working')
      ledger.set({ ...holding, state: 'failed', wants: 0, since: Date.now() });
  });
}

/**
 * Checks what can be refused before work begins.
 * @throws SPOOL_TOO_SMALL if even the whole spool has no room for this many bytes
 */
export async function requireCapacity(options: SpoolOptions, bytes: number): Promise<void> {
  await makeSpoolFolder(options.directory);
  const { capacity } = await diskRoom(options);
  if (bytes > capacity) throw tooSmall(bytes, capacity);
}

export interface SweepOptions {
  /** Job folders in which nothing was written for this long are removed. */
  readonly keepDays: number;
  /** Whether a job has ended and left nothing to resume. */
  isOver(seriesUuid: string): Promise<boolean>;
}

/** Removes what nobody needs any more: folders of killed processes, and of jobs that have ended or are forgotten. */
export async function sweepSpools({ directory }: SpoolOptions, options: SweepOptions): Promise<void> {
  if (!(await stat(directory).catch(() => undefined))) return;
  const asked = Date.now();
  const found = await Ledger.read(directory);
  const over = new Set<string>();
  // Checked before the ledger is locked: the database may be slow.
  for (const { name } of found.all) {
    const seriesUuid = JOB.exec(name)?.[1];
    if (seriesUuid && (await options.isOver(seriesUuid))) over.add(name);
  }
  await withLedger(directory, async (ledger) => {
    await ledger.reap();
    for (const { name, state, since } of ledger.all) {
      // Left by a process that was killed after its job had ended. If it was begun later, it may be for another job.
      const isLeftBehind = over.has(name) && asked - since > TOUCH_MS;
      if (state === 'working' && !isLeftBehind) continue;
      const { mtimeMs } = await stat(join(directory, name)).catch(() => ({ mtimeMs: since }));
      if (over.has(name) || Date.now() - mtimeMs > options.keepDays * 24 * 3_600_000)
        await ledger.remove(name);
    }
  });
}

export interface SpoolUse {
  /** Total size of all files. */
  readonly used: number;
  /** Bytes reserved for work in progress, including its files. */
  readonly reserved: number;
  /** Bytes of disk and quota that are available once the current slides are done. */
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

/** Bytes in total that are granted, why they are not, or undefined if they were granted before. */
type Answer = number | StainError | undefined;

class HeldSpool implements JobSpool, AsyncDisposable {
  readonly directory: string;
  readonly #options: SpoolOptions;
  readonly #name: string;
  readonly #owner: string;
  readonly #touch: NodeJS.Timeout;
  /** Nothing is evicted for it. */
  readonly #onlyFree: boolean;
  /** Bytes written or about to be written. */
  #used: number;
  /** Bytes that the ledger has reserved for this folder. */
  #granted: number;
  /** Total bytes refused to the previous attempt; 0 if they did not exceed the new estimate. */
  #wantedBefore: number;
  /** Total bytes last refused to this attempt. */
  #wants = 0;

  private constructor(
    options: SpoolOptions,
    { name, owner, bytes, wants }: Holding,
    used: number,
    onlyFree: boolean,
  ) {
    this.#options = options;
    this.#onlyFree = onlyFree;
    this.#name = name;
    this.#owner = owner;
    this.#used = used;
    this.#granted = bytes;
    this.#wantedBefore = wants;
    this.directory = join(options.directory, name);
    const touch = (): void => void utimes(this.directory, new Date(), new Date()).catch(() => {});
    this.#touch = setInterval(touch, TOUCH_MS).unref();
  }

  /** @param owner unique to this attempt */
  static async open(
    options: SpoolOptions,
    name: string,
    createdAt: string | undefined,
    owner: string,
    { onlyFree = false, onlyIdle = false }: { readonly onlyFree?: boolean; readonly onlyIdle?: boolean },
  ): Promise<HeldSpool> {
    atWork.add(owner);
    try {
      return await withLedger(options.directory, async (ledger) => {
        if (onlyIdle && (await ledger.isInUse(name)))
          throw new StainError('SERIES_IN_PROGRESS', 'Another process is making this series.');
        const folder = join(options.directory, name);
        await mkdir(folder, { recursive: true, mode: 0o700 });
        const used = await folderBytes(folder);
        const found = ledger.find(name);
        const { capacity } = await diskRoom(options);
        const wanted = found?.wants ?? 0;
        const holding: Holding = {
          name,
          // Left by an attempt that was killed: its reservation passes to the same job.
          bytes: Math.max(used, found?.bytes ?? 0),
          state: 'working',
          // From a larger spool than this one: part of it was reserved by an estimate, and is not known to be too much
          // here.
          wants: wanted <= capacity ? wanted : 0,
          createdAt,
          since: Date.now(),
          owner,
        };
        ledger.set(holding);
        return new HeldSpool(options, holding, used, onlyFree);
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
      await this.#request((ledger) => this.#ask(ledger, this.#wantedBefore));
  }

  async reserve({ minimum, likely }: NeededRoom): Promise<void> {
    await this.#request(async (ledger) => {
      const { capacity } = await diskRoom(this.#options);
      if (minimum > capacity) throw tooSmall(minimum, capacity);
      const estimate = Math.min(likely, MAX_ESTIMATED * capacity);
      // What was measured before, byte by byte, is more reliable than any estimate.
      if (this.#wantedBefore <= estimate) this.#wantedBefore = 0;
      return this.#ask(ledger, Math.max(this.#used, estimate, this.#wantedBefore));
    });
  }

  async take(bytes: number): Promise<void> {
    this.#used += bytes;
    if (this.#used <= this.#granted) return;
    try {
      await this.#request((ledger) => this.#grow(ledger));
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
    // If this fails because the disk is full, others find out that nobody works here any more.
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

  /** What is granted counts once the ledger is written: on a full disk it may not be. @throws why there is no room */
  async #request(ask: (ledger: Ledger) => Promise<Answer>): Promise<void> {
    const answer = await withLedger(this.#options.directory, ask);
    if (answer instanceof StainError) throw answer;
    if (answer !== undefined) [this.#granted, this.#wants] = [answer, 0];
  }

  async #grow(ledger: Ledger): Promise<Answer> {
    // While this call waited for the ledger, another one may have reserved enough.
    if (this.#used <= this.#granted) return undefined;
    return this.#ask(ledger, this.#used, this.#used + Math.max(MIN_STEP, this.#granted * STEP_PART));
  }

  /**
   * The ledger's entry for this attempt; undefined if another attempt has the folder. After a lost ledger, owners are
   * unknown.
   */
  #find(ledger: Ledger): Holding | undefined {
    const found = ledger.find(this.#name);
    return found?.owner === this.#owner || found?.owner === '' ? found : undefined;
  }

  /**
   * Requests this many bytes in total. @param welcome the number to take if nothing has to be evicted for it
   * @returns an error if there is no room: the ledger remembers who was refused what
   */
  async #ask(ledger: Ledger, bytes: number, welcome = bytes): Promise<Answer> {
    const own = this.#find(ledger);
    if (!own) return new StainError('CANCELLED', 'Another attempt has taken over the folder in the spool.');
    const { capacity, diskFree } = await diskRoom(this.#options);
    if (bytes > capacity) return tooSmall(bytes, capacity);
    let outstanding = await ledger.outstanding();
    const ask = (total: number): Decision =>
      decide(ledger.all, own, total, { capacity, diskFree: diskFree - outstanding }, Date.now());
    const grant = (total: number): number => {
      ledger.set({ ...own, state: 'working', owner: this.#owner, bytes: total, wants: 0 });
      return total;
    };
    if (isFree(ask(welcome))) return grant(welcome);
    let decision = ask(bytes);
    if (!isFree(decision)) {
      await ledger.reap();
      outstanding = await ledger.outstanding();
      decision = ask(bytes);
    }
    if (decision.granted && this.#onlyFree && decision.evicted.length > 0)
      decision = { granted: false, free: 0, inLine: true };
    if (!decision.granted) {
      this.#wants = bytes;
      ledger.set({ ...own, owner: this.#owner, wants: bytes });
      return full(bytes - own.bytes, decision);
    }
    for (const name of decision.evicted) await ledger.evict(name);
    return grant(bytes);
  }
}

const isFree = (decision: Decision): boolean => decision.granted && decision.evicted.length === 0;

async function removeFolder({ directory }: SpoolOptions, name: string): Promise<void> {
  // The files first: the ledger cannot be written while the disk is full.
  await rm(join(directory, name), { recursive: true, force: true });
  if (await stat(directory).catch(() => undefined))
    await withLedger(directory, (ledger) => ledger.remove(name));
}

/** @throws SPOOL_FULL if it cannot be made or written: jobs wait until somebody has seen to it */
export async function makeSpoolFolder(directory: string): Promise<void> {
  try {
    await makeFolder(directory, 0o700);
    await access(directory, constants.W_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StainError('SPOOL_FULL', `The spool folder cannot be written (${code}).`, { cause });
  }
}

async function diskRoom({ directory, quotaBytes = Infinity }: SpoolOptions): Promise<Room> {
  const { bavail, bfree, blocks, bsize } = await statfs(directory);
  // `bfree` includes blocks that only root may use.
  const disk = (blocks - bfree + bavail) * bsize;
  return { capacity: Math.min(quotaBytes, disk), diskFree: bavail * bsize };
}

function full(more: number, { free, inLine }: Decision & { readonly granted: false }): StainError {
  return new StainError(
    'SPOOL_FULL',
    `The spool has ${megabytes(free)} left; ${megabytes(more)} more are needed.`,
    { data: { needed: Math.ceil(more), free: Math.floor(free), inLine } },
  );
}

function tooSmall(bytes: number, capacity: number): StainError {
  return new StainError(
    'SPOOL_TOO_SMALL',
    `The slide needs ${megabytes(bytes)} in the spool, which has ${megabytes(capacity)} in total.`,
    { data: { needed: Math.ceil(bytes), quota: Math.floor(capacity) } },
  );
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
