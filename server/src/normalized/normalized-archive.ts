/**
 * Every slide of the archive, normalised to a template and computed on request. State that outlives a process is only
 * in the database, and what is cached here may be lost: any number of processes can serve the same archive.
 */
import { LRUCache } from 'lru-cache';
import { outputSyntax } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { type ErrorCode, type StainError, toStainError } from '../../../core/src/errors.ts';
import { type HeldFrame, Pictures } from '../archive/pictures.ts';
import type { CodecPool } from '../codec/codec-pool.ts';
import { PHOTOMETRIC_INTERPRETATION } from '../derived/derived-series.ts';
import type { DerivationTable } from '../jobs/derivation-records.ts';
import { type ComputedSeries, openComputedSeries } from '../pipeline/computed-series.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import type { Looks } from '../pipeline/looks.ts';
import type { SlideReference } from '../pipeline/series-reference.ts';
import { Budget } from '../sharing/budget.ts';
import { SharedResults } from '../sharing/shared-results.ts';
import { Turns } from '../sharing/turns.ts';
import { Catalogue, type CatalogueOptions, type ListedSeries } from './catalogue.ts';
import { SourceStates } from './source-state.ts';

/**
 * How long answers of the archive and the database are reused: a correction, deletion or refusal is noticed after this
 * time.
 */
const HOLDS_MS = 30_000;
/** Maximum number of open slides: the colour table of each may take 64 MB. */
const MAX_OPEN = 8;
/**
 * Maximum size of their headers together: the header of 300,000 frames with positions takes 67 MB. A larger one is the
 * only one open.
 */
const OPEN_BYTES = 128 * 2 ** 20;
/** What a header says beyond what is watched (source-state.ts) is read again after this time. */
const OPEN_MS = 10 * 60_000;
const [MAX_FAILED, FAILED_MS] = [1000, 10_000];
/** Size of the cache of finished frames. */
const FRAME_BYTES = 64 * 2 ** 20;
/** Maximum size of a whole image rendered as one picture; also the limit for all such pictures at once. */
export const PICTURE_PIXELS = 16e6;
const PICTURES_AT_ONCE = 4;
/** Frames of one user, running or waiting: a viewer requests a few dozen. */
const FRAMES_PER_USER = 1000;

/** Reasons to refuse a slide, whoever asks, as long as it stays the same. */
const FINAL: readonly ErrorCode[] = ['STAIN_NOT_HE', 'TOO_LITTLE_TISSUE', 'LEVELS_DISAGREE'];

/** Whether an error is a permanent refusal. */
function isFinalRefusal({ code }: StainError): boolean {
  return FINAL.includes(code);
}

export type FrameOutcome = 'computed' | 'kept' | 'failed';

export interface NormalizedArchiveOptions extends Omit<CatalogueOptions, 'states' | 'holdsMs'> {
  readonly derivations: DerivationTable;
  readonly environment: NormalizationEnvironment;
  readonly looks: Looks;
  /** A pool of its own, so that jobs do not delay viewers. */
  readonly codecs: CodecPool;
  readonly threads: number;
  /** Called for every frame that was requested. */
  onFrame?(outcome: FrameOutcome, seconds: number): void;
  /** Default 30 s. */
  readonly holdsMs?: number;
}

export class NormalizedArchive {
  readonly #options: NormalizedArchiveOptions;
  readonly #environment: NormalizationEnvironment;
  readonly #states: SourceStates;
  /** The series in the archive. */
  readonly catalogue: Catalogue;
  readonly #open = new SharedResults<ComputedSeries>({
    max: MAX_OPEN,
    ttl: OPEN_MS,
    maxSize: OPEN_BYTES,
    sizeCalculation: ({ headerBytes }) => Math.min(Math.max(1, headerBytes), OPEN_BYTES),
  });
  /** Opening slides, per user; open slides are cached above. */
  readonly #opening = new SharedResults<ComputedSeries>({ max: 1, ttl: 1 });
  /** Slides that could not be opened: a viewer requests many frames at once. */
  readonly #failed = new LRUCache<string, StainError>({ max: MAX_FAILED, ttl: FAILED_MS });
  readonly #frames = new SharedResults<Uint8Array>({
    maxSize: FRAME_BYTES,
    sizeCalculation: (frame) => Math.max(1, frame.length),
  });
  readonly #turns: Turns;
  readonly #pictures: Pictures;
  readonly #pictureRoom = new Budget(PICTURES_AT_ONCE * PICTURE_PIXELS);

  constructor(options: NormalizedArchiveOptions) {
    const { environment, codecs, threads, holdsMs = HOLDS_MS } = options;
    this.#options = options;
    this.#environment = { ...environment, codecs, derivations: options.derivations };
    this.#pictures = new Pictures(codecs);
    this.#states = new SourceStates(environment.source, holdsMs);
    this.catalogue = new Catalogue({ ...options, states: this.#states, holdsMs });
    // Some frames are fetched while others are in the codecs.
    const atOnce = 4 * threads;
    this.#turns = new Turns({
      atOnce,
      atOnceOfOne: Math.ceil((3 * atOnce) / 4),
      maxOfOne: FRAMES_PER_USER,
    });
  }

  /**
   * Opens the series, with the slide as it is now. The first time takes seconds, because the stain is fitted.
   * @param user id of the principal who asked: users take turns
   * @throws whatever `openComputedSeries` throws, SERIES_NOT_FOUND if the slide is no longer in the archive,
   * QUEUE_FULL, FIT_TIMED_OUT
   */
  async open(series: ListedSeries, user: string, signal: AbortSignal): Promise<ComputedSeries> {
    const key = await this.#keyOf(series, signal);
    const failed = this.#failed.get(key);
    if (failed) throw failed;
    const kept = this.#open.kept(key);
    if (kept) return kept;
    const { looks } = this.#options;
    // One turn per user, however many frames a viewer requests at once; the first turn opens the slide for everybody.
    const ofAll = (turn: AbortSignal): Promise<ComputedSeries> =>
      this.#open.get(
        key,
        (shared) => looks.inTime(shared, (inTime) => this.#openSeries(series, key, inTime)),
        turn,
      );
    return this.#opening.get(
      JSON.stringify([user, key]),
      (shared) => looks.inTurn(user, series.request, shared, ofAll),
      signal,
    );
  }

  /**
   * Fits a slide before anybody opens it; the fit is kept in the database, and the slide itself not in memory.
   * @throws whatever `Catalogue.listOne` and `open` throw
   */
  async fit(template: string, slide: SlideReference, user: string, signal: AbortSignal): Promise<void> {
    const series = await this.catalogue.listOne(template, slide, signal);
    const key = await this.#keyOf(series, signal);
    await this.#options.looks.inTurn(user, series.request, signal, (inTime) =>
      this.#openSeries(series, key, inTime),
    );
  }

  /**
   * One encoded frame.
   * @param image index of the image in the slide
   * @param frame 0-based
   * @throws whatever `open` and `ComputedSeries.frame` throw
   */
  async frame(
    series: ListedSeries,
    image: number,
    frame: number,
    user: string,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const started = performance.now();
    const tell = (outcome: FrameOutcome): void =>
      this.#options.onFrame?.(outcome, (performance.now() - started) / 1000);
    try {
      const open = await this.open(series, user, signal);
      const key = `${await this.#keyOf(series, signal)} ${image} ${frame}`;
      const kept = this.#frames.kept(key);
      const bytes =
        kept ??
        (await this.#turns.take(user, signal, () =>
          this.#frames.get(key, (shared) => open.frame(image, frame, shared), signal),
        ));
      tell(kept ? 'kept' : 'computed');
      return bytes;
    } catch (error) {
      if (!signal.aborted) tell('failed');
      throw error;
    }
  }

  /**
   * Reserves memory for a picture of many frames, from a separate budget, because its holder waits for frames.
   * @throws the reason of the signal if the client leaves while waiting
   */
  reservePicture(pixels: number, signal: AbortSignal): Promise<Disposable> {
    return this.#pictureRoom.reserve(pixels, signal);
  }

  /**
   * The same as rows x columns RGB, with its memory reservation, which the caller must release.
   * @throws like `frame`, FRAME_TOO_LARGE
   */
  async decodedFrame(
    series: ListedSeries,
    image: number,
    frame: number,
    user: string,
    signal: AbortSignal,
  ): Promise<HeldFrame> {
    const encoded = await this.frame(series, image, frame, user, signal);
    const { rows, columns } = series.slide.images[image]!;
    const { encoding } = series.request;
    const format = {
      transferSyntaxUid: outputSyntax(encoding),
      rows,
      columns,
      photometricInterpretation: PHOTOMETRIC_INTERPRETATION[encoding],
      planarConfiguration: 0,
    };
    // The codec takes over the bytes it is given, and others still use these.
    const copy = async (): Promise<Uint8Array> => Uint8Array.from(encoded);
    return this.#pictures.decodedFrame(format, encoded.length, copy, signal);
  }

  /** Identifies a computed result: the series as it was begun, and the state of its source. */
  async #keyOf({ seriesInstanceUid, identity, request }: ListedSeries, signal: AbortSignal): Promise<string> {
    return `${seriesInstanceUid} ${identity.createdAt} ${await this.#states.of(request, signal)}`;
  }

  async #openSeries(series: ListedSeries, key: string, signal: AbortSignal): Promise<ComputedSeries> {
    const { request, identity } = series;
    try {
      const open = await openComputedSeries(request, identity, this.#environment, signal);
      if (open.images.length !== series.slide.images.length) this.catalogue.forget(series);
      return open;
    } catch (error) {
      const refusal = toStainError(error);
      if (refusal.status === 422) this.#failed.set(key, refusal);
      if (isFinalRefusal(refusal)) {
        const { code, message, data } = refusal;
        await this.#options.derivations.refuse(identity, { code, message, data });
        this.catalogue.forget(series);
      }
      throw error;
    }
  }
}
