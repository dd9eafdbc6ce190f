/**
 * Caches whole source instances for a while if their archive is slow to return single frames: Orthanc reads the whole
 * instance for each frame, which takes five seconds for 600 MB. The files lie in the spool, in room of their own. Their
 * total size is bounded, and they are removed after ten minutes without a request.
 */
import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import { untilAborted } from '../../../core/src/abortable.ts';
import { StainError } from '../../../core/src/errors.ts';
import type { Part10File } from '../dicom/part10-file.ts';
import { createTemporarySpool, type Spool, type SpoolOptions } from '../spool/spool.ts';
import { type FetchAccess, fetchInstance, openInstance } from './fetch-instance.ts';
import type { SeriesReference } from './series-reference.ts';

/** An archive is slow if the first requested frame takes longer than this. */
export const SLOW_MS = 500;
const IDLE_MS = 10 * 60_000;
/** Time limit for fetching an instance. */
const FETCH_MS = 10 * 60_000;
/** How long readers wait for the instance, from when it was first wanted. After that they request single frames. */
const WAIT_MS = 20_000;
const FETCHES_AT_ONCE = 2;
/** Instances that could not be fetched, or were evicted. They are not fetched again for `IDLE_MS`. */
const MAX_KNOWN = 10_000;

/** One instance of a series, with what distinguishes it from another instance with the same UID. */
export interface WantedInstance {
  readonly series: SeriesReference;
  readonly sopInstanceUid: string;
  /** SHA-256 of its header. */
  readonly sha256: string;
}

/** An instance being fetched. */
interface Coming {
  readonly file: Promise<HeldFile | undefined>;
  /** Readers wait for it until this time, in milliseconds of `performance.now()`. */
  readonly until: number;
}

export class InstanceFiles implements AsyncDisposable {
  readonly #access: FetchAccess & { readonly spool: SpoolOptions };
  readonly #maxOfOne: number;
  readonly #waitMs: number;
  readonly #files: LRUCache<string, HeldFile>;
  readonly #coming = new Map<string, Coming>();
  readonly #unwanted = new LRUCache<string, true>({ max: MAX_KNOWN, ttl: IDLE_MS });
  readonly #limit = pLimit(FETCHES_AT_ONCE);
  readonly #removing = new Set<Promise<void>>();
  readonly #closing = new AbortController();

  /**
   * @param maxBytes total size: half for the files that are complete, half for those being fetched
   * @param waitMs see WAIT_MS
   */
  constructor(
    access: FetchAccess & { readonly spool: SpoolOptions },
    maxBytes: number,
    waitMs: number = WAIT_MS,
  ) {
    this.#waitMs = waitMs;
    this.#maxOfOne = Math.floor(maxBytes / (2 * FETCHES_AT_ONCE));
    const { maxInstanceBytes } = access.limits;
    const limits = { ...access.limits, maxInstanceBytes: Math.min(maxInstanceBytes, this.#maxOfOne) };
    this.#access = { ...access, limits };
    this.#files = new LRUCache({
      maxSize: Math.max(1, Math.floor(maxBytes / 2)),
      sizeCalculation: ({ bytes }) => bytes,
      ttl: IDLE_MS,
      updateAgeOnGet: true,
      ttlAutopurge: true,
      dispose: (file, key, reason) => {
        this.#remove(file);
        // Otherwise two instances that do not fit together would evict each other for ever.
        if (reason === 'evict') this.#unwanted.set(key, true);
      },
    });
  }

  /** The archive was slow to return a frame of this instance: fetch it, once. */
  want(instance: WantedInstance): void {
    const key = keyOf(instance);
    if (this.#files.has(key) || this.#coming.has(key) || this.#unwanted.has(key)) return;
    const file = this.#limit(() => this.#fetch(instance)).then(
      (fetched) => {
        if (this.#closing.signal.aborted) this.#remove(fetched);
        else this.#files.set(key, fetched);
        return fetched;
      },
      // No room, or no answer: single frames are requested instead.
      () => {
        this.#unwanted.set(key, true);
        return undefined;
      },
    );
    this.#coming.set(key, { file, until: performance.now() + this.#waitMs });
    void file.finally(() => this.#coming.delete(key));
  }

  /**
   * Reads a frame from the file. Returns undefined if there is no file, or it does not arrive in time.
   * @param frame 0-based
   * @throws FRAME_INVALID, DICOM_INVALID, the reason of the signal
   */
  async frame(instance: WantedInstance, frame: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const key = keyOf(instance);
    const file = this.#files.get(key) ?? (await inTime(this.#coming.get(key), signal));
    return file?.frame(frame);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#coming.values()].map(({ file }) => file));
    this.#files.clear();
    await Promise.all(this.#removing);
  }

  #remove(file: HeldFile): void {
    // What cannot be removed goes with the other leftovers of this process.
    const removing = file
      .remove()
      .catch(() => {})
      .finally(() => this.#removing.delete(removing));
    this.#removing.add(removing);
  }

  async #fetch({ series, sopInstanceUid }: WantedInstance): Promise<HeldFile> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(FETCH_MS)]);
    signal.throwIfAborted();
    await using cleanup = new AsyncDisposableStack();
    const spool = cleanup.use(await createTemporarySpool(this.#access.spool, { onlyFree: true }));
    // Length of the whole response, which may be slightly larger than the instance.
    const onLength = async (length: number): Promise<void> => {
      if (length > this.#maxOfOne)
        throw new StainError('SPOOL_FULL', `An instance of ${length} bytes is too large to be kept.`);
      await spool.reserve({ minimum: length, likely: length });
    };
    const { path, bytes, kept } = await fetchInstance(
      series,
      sopInstanceUid,
      spool,
      this.#access,
      signal,
      onLength,
    );
    await kept;
    await spool.reserve({ minimum: bytes, likely: bytes });
    const file = cleanup.use(await openInstance(series, sopInstanceUid, path, signal));
    cleanup.move();
    return new HeldFile(file, spool, bytes);
  }
}

function keyOf({ series, sopInstanceUid, sha256 }: WantedInstance): string {
  return `${series.studyInstanceUid} ${series.seriesInstanceUid} ${sopInstanceUid} ${sha256}`;
}

/** The instance if it arrives in time, otherwise undefined. @throws the reason of the signal */
async function inTime(coming: Coming | undefined, signal: AbortSignal): Promise<HeldFile | undefined> {
  const left = coming ? coming.until - performance.now() : 0;
  if (!coming || left <= 0) return undefined;
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), left);
  try {
    return await untilAborted(Promise.race([coming.file, late.promise]), signal);
  } finally {
    clearTimeout(timer);
  }
}

/** An open file that is removed once nobody reads it any more. */
class HeldFile {
  readonly bytes: number;
  readonly #file: Part10File;
  readonly #spool: Spool & AsyncDisposable;
  #readers = 0;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(file: Part10File, spool: Spool & AsyncDisposable, bytes: number) {
    this.#file = file;
    this.#spool = spool;
    this.bytes = bytes;
  }

  async frame(index: number): Promise<Uint8Array> {
    this.#readers++;
    try {
      return await this.#file.frame(index);
    } finally {
      if (--this.#readers === 0) this.#idle?.resolve();
    }
  }

  async remove(): Promise<void> {
    if (this.#readers > 0) {
      this.#idle = Promise.withResolvers();
      await this.#idle.promise;
    }
    await this.#file.close();
    await this.#spool[Symbol.asyncDispose]();
  }
}
