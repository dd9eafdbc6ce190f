/**
 * How one archive wants to be asked, as far as its answers have told. Everything is asked for in the usual way first. Where
 * the archive refuses that, the other ways are tried, each once, and the one that works is kept for the next request.
 */
import { StainError } from '../errors.ts';
import { isPassing } from './retry.ts';

/** Which transfer syntaxes a request names: `transfer-syntax=*`, all that are read here, or none. */
export type NamedSyntaxes = 'any' | 'listed' | 'none';

export interface Habits {
  /** As the archive names itself. */
  readonly server: string | undefined;
  /** Media type of data sets. */
  readonly json: 'application/dicom+json' | 'application/json';
  /** Pages of searches: as large as is usual, small, or everything at once, without `limit` and `offset`. */
  readonly paging: 'usual' | 'small' | 'none';
  /** Whether searches may name attributes to be told. */
  readonly includefield: boolean;
  /** False once results have come that were not asked for: they are dropped. */
  readonly filters: boolean;
  /** What 404 says to a search: that there is no such resource, or that nothing matches. */
  readonly notFound: 'no resource' | 'no match';
  readonly instances: NamedSyntaxes;
  readonly frames: NamedSyntaxes;
  /** Which resource gives the full headers of whole-slide instances. */
  readonly headers: 'series metadata' | 'instance metadata' | 'instances';
}

export const USUAL: Habits = {
  server: undefined,
  json: 'application/dicom+json',
  paging: 'usual',
  includefield: true,
  filters: true,
  notFound: 'no resource',
  instances: 'any',
  frames: 'any',
  headers: 'series metadata',
};

export interface OtherWays {
  /** Statuses that refuse the way of asking. */
  readonly refusals: ReadonlySet<number>;
  /** The ways besides the one that is known, the best first. */
  readonly ways: (known: Habits) => readonly Partial<Habits>[];
  /** What the archive lacks that takes none of them; for a person. */
  readonly lacks: string;
  /** Whether one answer shows that the way is right: a refusal after it is of one request, and teaches nothing. */
  readonly isShownByOne?: boolean;
}

/** Statuses that are about the form of the answer, and about nothing else. */
const NOT_ACCEPTABLE: ReadonlySet<unknown> = new Set([406, 415]);

export class ArchiveHabits {
  #known = USUAL;
  /** `lacks` of what was answered in the way that is known. */
  readonly #shown = new Set<string>();

  get known(): Habits {
    return this.#known;
  }

  learn(habits: Partial<Habits>): void {
    this.#known = { ...this.#known, ...habits };
  }

  /**
   * Asks in the way that is known, and in the others where that is refused.
   * @throws the refusal where all ways are refused: ARCHIVE_LACKING where it is about the form of the answer. What fails in
   *   another way than by an answer says more than the refusal, and is thrown as it is
   */
  async ask<T>(
    request: (habits: Habits) => Promise<T>,
    { refusals, ways, lacks, isShownByOne = false }: OtherWays,
  ): Promise<T> {
    const known = this.#known;
    try {
      const answer = await request(known);
      if (isShownByOne) this.#shown.add(lacks);
      return answer;
    } catch (refusal) {
      const status = refusedStatus(refusal);
      if (status === undefined || !refusals.has(status)) throw refusal;
      for (const way of ways(known)) {
        try {
          const answer = await request({ ...known, ...way });
          if (!this.#shown.has(lacks)) this.learn(way);
          return answer;
        } catch (error) {
          if (refusedStatus(error) === undefined) throw error;
        }
      }
      if (!NOT_ACCEPTABLE.has(status)) throw refusal;
      const { message, data } = refusal as StainError;
      throw new StainError('ARCHIVE_LACKING', `${message} ${lacks}`, { data: { ...data }, cause: refusal });
    }
  }
}

/** Status of an answer that refuses a request for good; what is not found, or may come later, is not refused. */
export function refusedStatus(error: unknown): number | undefined {
  if (!(error instanceof StainError) || isPassing(error)) return undefined;
  const { status } = error.data;
  return typeof status === 'number' && status >= 400 && status !== 404 && status !== 410 ? status : undefined;
}

/** All values of a habit but one. */
export function othersThan<T>(values: readonly T[], known: T): T[] {
  return values.filter((value) => value !== known);
}
