/**
 * How an archive wants to be queried, as learnt from its responses. Every request is first made in the usual way. If
 * the archive refuses that, the alternatives are tried once each, and the one that works is kept for later requests.
 */
import { StainError } from '../../../core/src/errors.ts';
import { isRetryable } from './retry.ts';

/** Which transfer syntaxes a request names: `transfer-syntax=*`, all that we can read, or none. */
export type NamedSyntaxes = 'any' | 'listed' | 'none';

export interface Habits {
  /** The archive's own name. */
  readonly server: string | undefined;
  /** Media type of data sets. */
  readonly json: 'application/dicom+json' | 'application/json';
  /** Pages of searches: the usual size, small, or everything at once, without `limit` and `offset`. */
  readonly paging: 'usual' | 'small' | 'none';
  /** Whether searches may name additional attributes to return. */
  readonly includefield: boolean;
  /** False once a search has returned results that do not match; those are dropped. */
  readonly filters: boolean;
  /** What 404 means in response to a search: there is no such resource, or nothing matches. */
  readonly notFound: 'no resource' | 'no match';
  readonly instances: NamedSyntaxes;
  readonly frames: NamedSyntaxes;
  /** Which resource returns the full headers of whole-slide instances. */
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
  /** Statuses that refuse this kind of request. */
  readonly refusals: ReadonlySet<number>;
  /** Alternatives to the known way, best first. */
  readonly ways: (known: Habits) => readonly Partial<Habits>[];
  /** What an archive that accepts none of them lacks; for people. */
  readonly lacks: string;
  /** Whether one response proves a way right: a later refusal then concerns a single request and teaches nothing. */
  readonly isShownByOne?: boolean;
}

/** Statuses about the format of the response, and nothing else. */
const NOT_ACCEPTABLE: ReadonlySet<unknown> = new Set([406, 415]);

export class ArchiveHabits {
  #known: Habits;
  /** `lacks` of the habits for which the known way has been answered. */
  readonly #shown = new Set<string>();

  /** @param profile what is known of the archive beforehand */
  constructor(profile: Partial<Habits> = {}) {
    this.#known = { ...USUAL, ...profile };
  }

  get known(): Habits {
    return this.#known;
  }

  learn(habits: Partial<Habits>): void {
    this.#known = { ...this.#known, ...habits };
  }

  /**
   * Sends a request in the known way, and in the other ways if that is refused.
   * @throws the refusal if all ways are refused: ARCHIVE_LACKING if it concerns the format of the response. A failure
   * without a response says more than the refusal, and is thrown as it is
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

/** Status of a response that refuses a request permanently; undefined for what is not found or may succeed later. */
export function refusedStatus(error: unknown): number | undefined {
  if (!(error instanceof StainError) || isRetryable(error)) return undefined;
  const { status } = error.data;
  return typeof status === 'number' && status >= 400 && status !== 404 && status !== 410 ? status : undefined;
}

/** All values of a habit except one. */
export function othersThan<T>(values: readonly T[], known: T): T[] {
  return values.filter((value) => value !== known);
}
