/**
 * Slides that nothing new has come to for a while: one that a scanner still sends would be normalised by halves. A folder tells
 * when it was written; an archive does not, so what there is of a slide is looked at twice.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { NormalizationEnvironment } from '../normalization/normalize-series.ts';
import { inspectSeries, type SlideReference } from '../normalization/open-series.ts';
import { sourceOfRefusal, sourceSha256 } from '../normalization/series-identity.ts';
import type { ArchiveLocation } from './archive-location.ts';

/** No slide's SHA-256: it could not be looked at. */
const NOTHING_SEEN = '';

interface Look {
  readonly at: number;
  readonly source: string;
}

export class Settling {
  readonly #source: Pick<ArchiveLocation, 'changedAtMs'>;
  readonly #environment: NormalizationEnvironment;
  readonly #stableMs: number;
  /** undefined where the slide was quiet already. */
  readonly #looks = new Map<string, Promise<Look | undefined>>();

  constructor(
    source: Pick<ArchiveLocation, 'changedAtMs'>,
    environment: NormalizationEnvironment,
    stableSeconds: number,
  ) {
    this.#source = source;
    this.#environment = environment;
    this.#stableMs = stableSeconds * 1000;
  }

  /** Looks at a slide ahead of its turn, or again, so that nobody need wait when it comes. */
  lookAt(slide: SlideReference, signal: AbortSignal): void {
    if (this.#stableMs === 0) return;
    const look = this.#isQuiet(slide).then((isQuiet) => (isQuiet ? undefined : this.#look(slide, signal)));
    // What is wrong is met when its turn comes.
    this.#looks.set(
      keyOf(slide),
      look.catch(() => undefined),
    );
  }

  /**
   * SHA-256 of what there was of it `stableSeconds` ago, or longer, which a slide that is normalised must have; undefined where that
   * does not matter.
   */
  async settled(slide: SlideReference, signal: AbortSignal): Promise<string | undefined> {
    if (this.#stableMs === 0 || (await this.#isQuiet(slide))) return undefined;
    const { at, source } = (await this.#looks.get(keyOf(slide))) ?? (await this.#look(slide, signal));
    await pause(Math.max(0, at + this.#stableMs - Date.now()), undefined, { signal });
    // A folder shows what has come meanwhile.
    await this.#source.changedAtMs?.(slide);
    return source;
  }

  async #look(slide: SlideReference, signal: AbortSignal): Promise<Look> {
    try {
      return { source: sourceSha256(await inspectSeries(slide, this.#environment, signal)), at: Date.now() };
    } catch (error) {
      return { source: sourceOfRefusal(error) ?? NOTHING_SEEN, at: Date.now() };
    }
  }

  async #isQuiet(slide: SlideReference): Promise<boolean> {
    const changedAtMs = await this.#source.changedAtMs?.(slide);
    return changedAtMs !== undefined && Date.now() - changedAtMs >= this.#stableMs;
  }
}

function keyOf({ seriesInstanceUid, slide = '' }: SlideReference): string {
  return `${seriesInstanceUid} ${slide}`;
}
