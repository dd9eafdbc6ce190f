/**
 * Waits for slides to settle: one that a scanner is still sending would be normalised by halves. A folder tells when it
 * was written; an archive does not, so the slide is checked twice.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import { inspectSeries } from '../pipeline/inspect-series.ts';
import { sourceOfRefusal, sourceSha256 } from '../pipeline/series-identity.ts';
import type { SlideReference } from '../pipeline/series-reference.ts';
import type { ArchiveLocation } from '../wiring/archive-location.ts';

/** Matches the SHA-256 of no slide: the slide could not be checked. */
const NOTHING_SEEN = '';

interface Look {
  readonly at: number;
  readonly source: string;
}

export class Settling {
  readonly #source: Pick<ArchiveLocation, 'changedAtMs'>;
  readonly #environment: NormalizationEnvironment;
  readonly #stableMs: number;
  /** undefined if the slide had already settled. */
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

  /** Checks a slide ahead of its turn, or again, so that nobody has to wait when its turn comes. */
  lookAt(slide: SlideReference, signal: AbortSignal): void {
    if (this.#stableMs === 0) return;
    const look = this.#isQuiet(slide).then((isQuiet) => (isQuiet ? undefined : this.#look(slide, signal)));
    // An error is reported when the slide's turn comes.
    this.#looks.set(
      keyOf(slide),
      look.catch(() => undefined),
    );
  }

  /**
   * SHA-256 of the slide's instances `stableSeconds` ago or longer, which it must still have when it is normalised;
   * undefined if that does not matter.
   */
  async settled(slide: SlideReference, signal: AbortSignal): Promise<string | undefined> {
    if (this.#stableMs === 0 || (await this.#isQuiet(slide))) return undefined;
    const { at, source } = (await this.#looks.get(keyOf(slide))) ?? (await this.#look(slide, signal));
    await pause(Math.max(0, at + this.#stableMs - Date.now()), undefined, { signal });
    // Makes a folder index what has arrived in the meantime.
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
