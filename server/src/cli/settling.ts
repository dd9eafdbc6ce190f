/**
 * Slides that nothing new has come to for a while: one that a scanner still sends would be normalised by halves. A folder tells
 * when it was written; an archive does not, so the instances of a slide are looked at twice.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { NormalizationEnvironment } from '../normalization/normalize-series.ts';
import { inspectSeries, type SlideReference } from '../normalization/open-series.ts';
import { sourceSha256 } from '../normalization/series-identity.ts';
import type { ArchiveLocation } from './archive-location.ts';

/** What a slide had at a look; undefined where it could not be looked at, which its normalisation will say. */
interface Look {
  readonly at: number;
  readonly source: string | undefined;
}

export class Settling {
  readonly #source: Pick<ArchiveLocation, 'changedAtMs'>;
  readonly #environment: NormalizationEnvironment;
  readonly #stableMs: number;
  readonly #looks = new Map<string, Promise<Look>>();

  constructor(
    source: Pick<ArchiveLocation, 'changedAtMs'>,
    environment: NormalizationEnvironment,
    stableSeconds: number,
  ) {
    this.#source = source;
    this.#environment = environment;
    this.#stableMs = stableSeconds * 1000;
  }

  /** Looks at a slide ahead of its turn, so that nobody need wait when it comes. */
  lookAt(slide: SlideReference, signal: AbortSignal): void {
    if (this.#isQuiet()) return;
    const source = inspectSeries(slide, this.#environment, signal).then(sourceSha256, () => undefined);
    const look = source.then((found) => ({ at: Date.now(), source: found }));
    this.#looks.set(keyOf(slide), look);
  }

  /** SHA-256 of the instances that it had `stableSeconds` ago, or longer; undefined where that does not matter. */
  async settled(slide: SlideReference, signal: AbortSignal): Promise<string | undefined> {
    if (this.#isQuiet()) return undefined;
    if (!this.#looks.has(keyOf(slide))) this.lookAt(slide, signal);
    const { at, source } = await this.#looks.get(keyOf(slide))!;
    await pause(Math.max(0, at + this.#stableMs - Date.now()), undefined, { signal });
    return source;
  }

  #isQuiet(): boolean {
    const { changedAtMs = Number.POSITIVE_INFINITY } = this.#source;
    return this.#stableMs === 0 || Date.now() - changedAtMs >= this.#stableMs;
  }
}

function keyOf({ seriesInstanceUid, slide = '' }: SlideReference): string {
  return `${seriesInstanceUid} ${slide}`;
}
