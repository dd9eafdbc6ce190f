/**
 * The meaning of a 404 in response to a search. Some archives use it if nothing matches (the standard says 204), others
 * if they have no such resource, and a wrong URL results in 404 as well.
 */
import { StainError } from '../../../core/src/errors.ts';
import type { ArchiveConnection, JsonAnswer } from './connection.ts';

export type SearchLevel = 'studies' | 'series' | 'instances';

export const NO_MATCH: JsonAnswer = { items: [], bytes: 0, hasMore: false };

export function isNotFound(error: unknown): boolean {
  return error instanceof StainError && (error.code === 'NOT_FOUND' || error.code === 'SERIES_NOT_FOUND');
}

/** A series or instance that the archive does not know is a valid result here, not an error. */
export async function orNone<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Returns if a 404 to a search of the whole archive means that nothing matches.
 * @throws ARCHIVE_UNREACHABLE if there is no DICOMweb service at the address, ARCHIVE_LACKING if it does not have this
 * search
 */
export async function requireNoMatch(
  connection: ArchiveConnection,
  level: SearchLevel,
  maxBytes: number,
  signal: AbortSignal,
): Promise<void> {
  if (connection.habits.known.notFound === 'no match') return;
  const isAnswered = async (asked: SearchLevel): Promise<boolean | undefined> => {
    const query = new URLSearchParams({ limit: '1' });
    const found = await orNone(() => connection.getJson({ path: [asked], query }, maxBytes, signal));
    return found && found.items.length > 0;
  };
  if ((await isAnswered(level)) === undefined) {
    const hasStudies = level === 'studies' ? undefined : await isAnswered('studies');
    if (hasStudies === undefined)
      throw new StainError(
        'ARCHIVE_UNREACHABLE',
        'There is no DICOMweb service at this URL: it answers 404 to every search.',
      );
    if (hasStudies)
      throw new StainError(
        'ARCHIVE_LACKING',
        `The archive answers 404 to searches for ${level} of all studies; they can be addressed only by their UIDs.`,
        { data: { status: 404 } },
      );
  }
  connection.habits.learn({ notFound: 'no match' });
}
