/**
 * Progress of a job, kept in its spool: the fetched instances, the fit, the tile row reached and the frames. After a
 * crash the next attempt resumes from it and makes the same pixels. Whatever lies in the spool is verified, not
 * trusted.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OpenTile } from '../../../core/src/image/pyramid.ts';
import type { SavedFrames } from '../spool/frame-spool.ts';
import { readRecords, writeRecords } from '../spool/record-file.ts';
import type { Spool } from '../spool/spool.ts';
import type { SavedLevels } from './build-levels.ts';
import type { Fit } from './fit.ts';

const FILE = 'checkpoint';

/** A source instance in the spool. */
export interface FetchedInstance {
  readonly sopInstanceUid: string;
  /** File name. */
  readonly file: string;
  readonly sha256: string;
}

/** The levels so far. Another execution provider or window size could not continue them to the same pixels. */
export interface ReachedLevels {
  readonly executionProvider: string;
  readonly coreSize: number;
  readonly windowsDone: number;
  readonly frames: readonly SavedFrames[];
  /** True if every frame has been made. */
  readonly isComplete: boolean;
}

export interface Reached {
  /** Identifies the work: a checkpoint of other work is useless. */
  readonly key: string;
  readonly fetched: readonly FetchedInstance[];
  readonly fit?: Fit;
  readonly levels?: ReachedLevels;
}

export class Checkpoint {
  readonly #spool: Spool;
  readonly #onSaved: () => void;
  #reached: Reached;
  #tiles: readonly OpenTile[];
  /** Size of the checkpoint file. */
  #bytes: number;

  private constructor(
    spool: Spool,
    bytes: number,
    reached: Reached,
    tiles: readonly OpenTile[],
    onSaved: () => void,
  ) {
    this.#spool = spool;
    this.#bytes = bytes;
    this.#reached = reached;
    this.#tiles = tiles;
    this.#onSaved = onSaved;
  }

  /**
   * Opens the checkpoint of a spool, or an empty one. Files that it does not name are leftovers of a crash and are
   * removed.
   */
  static async open(spool: Spool, key: string, onSaved: () => void): Promise<Checkpoint> {
    const [reached, ...tiles] = (await readRecords(join(spool.directory, FILE))) ?? [];
    const isOurs = (reached as Reached | undefined)?.key === key;
    const found = isOurs ? (reached as Reached) : { key, fetched: [] };
    await removeOthers(spool, found);
    const bytes = await sizeOf(join(spool.directory, FILE));
    return new Checkpoint(spool, bytes, found, isOurs ? (tiles as OpenTile[]) : [], onSaved);
  }

  get reached(): Reached {
    return this.#reached;
  }

  /** The unfinished tiles as they were read. Returned only once, because they are large. */
  takeTiles(): readonly OpenTile[] {
    const tiles = this.#tiles;
    this.#tiles = [];
    return tiles;
  }

  /**
   * Saves additional progress. @param tiles the unfinished tiles; if omitted, those saved before stay
   * @throws SPOOL_FULL, SPOOL_TOO_SMALL
   */
  async save(
    change: Partial<Omit<Reached, 'key'>>,
    tiles: SavedLevels['tiles'] = this.#tiles,
  ): Promise<void> {
    this.#reached = { ...this.#reached, ...change };
    const path = join(this.#spool.directory, FILE);
    const aside = this.#spool.newFile(FILE);
    const bytes = await writeRecords(path, aside, records(this.#reached, tiles), this.#spool);
    this.#spool.give(this.#bytes);
    this.#bytes = bytes;
    this.#onSaved();
  }
}

function* records(reached: Reached, tiles: SavedLevels['tiles']): Generator<unknown> {
  yield reached;
  yield* tiles;
}

async function removeOthers(spool: Spool, { fetched, levels }: Reached): Promise<void> {
  const needed = new Set([
    FILE,
    ...fetched.map(({ file }) => file),
    ...(levels?.frames.flatMap(({ files }) => files) ?? []),
  ]);
  for (const name of await readdir(spool.directory)) {
    if (needed.has(name)) continue;
    const path = join(spool.directory, name);
    const bytes = await sizeOf(path);
    await rm(path, { force: true });
    spool.give(bytes);
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}
