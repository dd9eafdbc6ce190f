/**
 * The series of the normalised archive: one for each slide that can be normalised. Their UIDs are those that a job's
 * series would have, and are recorded when they are first listed.
 */
import { LRUCache } from 'lru-cache';
import { DEFAULT_MODEL } from '../../../core/src/contract/default-model.ts';
import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import { isOfContent, StainError, toStainError } from '../../../core/src/errors.ts';
import { DEFAULT_TRANSFER } from '../../../core/src/stain/transfer-name.ts';
import type { Config } from '../config.ts';
import { derivedUids } from '../derived/derived-uids.ts';
import { uuidFromUid } from '../dicom/uid.ts';
import type { DerivationTable, GivenOut } from '../jobs/derivation-records.ts';
import type { JobService } from '../jobs/job-service.ts';
import { sourceImageOf } from '../pipeline/derived-headers.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import { fingerprintOf, type Means, resolveMeans } from '../pipeline/means.ts';
import { pinned, seriesContent } from '../pipeline/series-identity.ts';
import type { SeriesReference, SlideReference } from '../pipeline/series-reference.ts';
import { freeSeriesNumber } from '../pipeline/store-series.ts';
import { mapAtOnce } from '../sharing/map-at-once.ts';
import { SharedResults } from '../sharing/shared-results.ts';
import { type SlideSummary, summarizeSlides } from './slide-summary.ts';
import type { SourceStates } from './source-state.ts';

/** A series of the normalised archive. */
export interface ListedSeries extends Omit<GivenOut, 'refusal' | 'images'> {
  readonly seriesInstanceUid: string;
  /** SOP Instance UID of each image of the slide. */
  readonly sopInstanceUids: readonly string[];
  readonly slide: SlideSummary;
  readonly means: Means;
}

export interface CatalogueOptions {
  readonly environment: NormalizationEnvironment;
  readonly jobs: Pick<JobService, 'identify' | 'adopt'>;
  readonly derivations: Pick<DerivationTable, 'giveOut' | 'givenOut'>;
  readonly output: Config['output'];
  /** Name of the archive that holds the slides; undefined for the default one. */
  readonly source?: string | undefined;
  readonly states: SourceStates;
  /** How long a look-up is reused. */
  readonly holdsMs: number;
}

/** The summary of a slide takes a few kilobytes. */
const MAX_SUMMARIES = 2000;
const MAX_LISTED = 10_000;
const NOTHING_STORED: ReadonlySet<string> = new Set();
/** Number of series of a study that are read at once. */
const AT_ONCE = 4;

export class Catalogue {
  readonly #options: CatalogueOptions;
  /** By source series and its state. */
  readonly #summaries = new SharedResults<readonly SlideSummary[]>({ max: MAX_SUMMARIES });
  readonly #givenOut: LRUCache<string, GivenOut>;
  /** By content. */
  readonly #listed: LRUCache<string, GivenOut>;

  constructor(options: CatalogueOptions) {
    this.#options = options;
    const { holdsMs: ttl } = options;
    this.#givenOut = new LRUCache({ max: MAX_LISTED, ttl });
    this.#listed = new LRUCache({ max: MAX_LISTED, ttl });
  }

  /**
   * The normalised series for some source series; a slide that cannot be normalised has none.
   * @throws TEMPLATE_NOT_FOUND and errors of the archive and the database
   */
  async list(
    template: string,
    sources: readonly SeriesReference[],
    signal: AbortSignal,
  ): Promise<ListedSeries[]> {
    const means = await resolveMeans({ template, model: DEFAULT_MODEL }, this.#options.environment);
    const faults: StainError[] = [];
    const slides = await mapAtOnce(sources, AT_ONCE, async (source) => {
      signal.throwIfAborted();
      return this.#slidesOf(source, signal).catch((thrown: unknown) => {
        const error = toStainError(thrown);
        // It was deleted in the meantime, or cannot be read, which does not affect the others.
        if (isOfContent(error.code)) faults.push(error);
        else if (error.code !== 'SERIES_NOT_FOUND') throw error;
        return [];
      });
    });
    // Nothing else says why there is no slide.
    if (faults.length > 0 && faults.length === sources.length) throw faults[0];
    const there = new Set(sources.map(({ seriesInstanceUid }) => seriesInstanceUid));
    const listed: ListedSeries[] = [];
    // One after the other, so that each gets its own number.
    for (const slide of slides.flat()) {
      const given = await this.#giveOut(template, slide, means, there, signal);
      if (!given.refusal) listed.push(listedSeries(given, slide, means));
    }
    return listed;
  }

  /**
   * The normalised series for one slide, or for the only one of its series.
   * @throws the reason if the slide is refused, SLIDE_NOT_FOUND, and whatever `list` throws
   */
  async listOne(
    template: string,
    { studyInstanceUid, seriesInstanceUid, slide: wanted }: SlideReference,
    signal: AbortSignal,
  ): Promise<ListedSeries> {
    const means = await resolveMeans({ template, model: DEFAULT_MODEL }, this.#options.environment);
    const slides = await this.#slidesOf({ studyInstanceUid, seriesInstanceUid }, signal);
    const slide = slides.find(
      ({ images }) =>
        wanted === undefined ||
        images.some(({ instances }) => instances.some(({ sopInstanceUid }) => sopInstanceUid === wanted)),
    );
    if (!slide) throw new StainError('SLIDE_NOT_FOUND', 'The series holds no such slide.');
    const given = await this.#giveOut(template, slide, means, NOTHING_STORED, signal);
    requireNotRefused(given);
    return listedSeries(given, slide, means);
  }

  /** @throws TEMPLATE_NOT_FOUND and the like if nothing can be normalised to it */
  async requireTemplate(template: string): Promise<void> {
    await this.#options.environment.template(template);
  }

  /** Finds a series that was listed before, with the request that makes it. */
  async find(template: string, seriesInstanceUid: string): Promise<GivenOut | undefined> {
    const uuid = uuidFromUid(seriesInstanceUid);
    const found = uuid === undefined ? undefined : await this.#recordOf(uuid);
    // The same series of another archive may be shown to other users.
    const isHere = found?.request.template === template && found.request.source === this.#options.source;
    return isHere ? found : undefined;
  }

  /** Drops what is cached, because a refusal of the series was recorded. */
  forget({ identity, request }: Pick<GivenOut, 'identity' | 'request'>): void {
    this.#givenOut.delete(identity.seriesUuid);
    this.#listed.delete(request.contentSha256!);
  }

  /**
   * The series, with the slide as it is now.
   * @throws SOURCE_CHANGED if the slide has other instances by now, the reason if it is refused, SERIES_NOT_FOUND
   */
  async listed(given: GivenOut, signal: AbortSignal): Promise<ListedSeries> {
    requireNotRefused(given);
    const { request } = given;
    const slides = await this.#slidesOf(
      { studyInstanceUid: request.studyInstanceUid, seriesInstanceUid: request.seriesInstanceUid },
      signal,
    );
    const slide = slides.find(({ source }) => source.sourceSha256 === request.sourceSha256);
    if (!slide)
      throw new StainError(
        'SOURCE_CHANGED',
        'The instances of the slide have changed: search for its series again.',
      );
    return listedSeries(given, slide, await resolveMeans(request, this.#options.environment));
  }

  async #recordOf(seriesUuid: string): Promise<GivenOut | undefined> {
    const kept = this.#givenOut.get(seriesUuid);
    if (kept) return kept;
    const found = await this.#options.derivations.givenOut(seriesUuid);
    if (found) this.#givenOut.set(seriesUuid, found);
    return found;
  }

  async #slidesOf(source: SeriesReference, signal: AbortSignal): Promise<readonly SlideSummary[]> {
    const { states, environment } = this.#options;
    const key = `${source.studyInstanceUid} ${source.seriesInstanceUid} ${await states.of(source, signal)}`;
    return this.#summaries.get(key, (shared) => summarizeSlides(source, environment, shared), signal);
  }

  async #giveOut(
    template: string,
    slide: SlideSummary,
    means: Means,
    there: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<GivenOut> {
    const { environment, jobs, derivations, output, source } = this.#options;
    const { studyInstanceUid, seriesInstanceUid } = slide;
    const fingerprint = fingerprintOf(slide.source, means, environment);
    const wanted: NormalizationRequest = {
      studyInstanceUid,
      seriesInstanceUid,
      template,
      model: DEFAULT_MODEL,
      transfer: DEFAULT_TRANSFER,
      ...output,
      ...(source !== undefined && { source }),
    };
    const content = seriesContent(wanted, fingerprint);
    const kept = this.#listed.get(content.content);
    if (kept) return kept;
    const levels = slide.images.filter(({ role }) => role !== 'thumbnail');
    const images = { studyInstanceUid, levels };
    const identity = await jobs.identify(content, wanted, images, signal);
    const { series } = derivedUids(identity);
    // If the command line has meanwhile stored a series under this UID, with its own header, show that one from now on.
    if (there.has(series) && (await jobs.adopt(content, wanted, images, signal)))
      this.#givenOut.delete(identity.seriesUuid);
    let given = await derivations.givenOut(identity.seriesUuid);
    if (!given) {
      const free = await freeSeriesNumber(environment.destination, studyInstanceUid, series, signal);
      await derivations.giveOut(identity, pinned(wanted, fingerprint), free);
      given = await derivations.givenOut(identity.seriesUuid);
    }
    this.#listed.set(content.content, given!);
    return given!;
  }
}

function requireNotRefused({ refusal }: GivenOut): void {
  if (refusal) throw new StainError(refusal.code, refusal.message, { data: refusal.data });
}

function listedSeries(
  { identity, request, seriesNumber, images }: GivenOut,
  announced: SlideSummary,
  means: Means,
): ListedSeries {
  const uids = derivedUids(identity);
  const slide = { ...announced, images: announced.images.slice(0, images) };
  return {
    identity,
    request,
    seriesNumber,
    seriesInstanceUid: uids.series,
    sopInstanceUids: slide.images.map((image) => uids.instance(sourceImageOf(image))),
    slide,
    means,
  };
}
