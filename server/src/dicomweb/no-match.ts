/**
 * What 404 says to a search. Some archives answer so where nothing matches (the standard has 204), others where they have
 * no such resource, and a wrong address gives it too.
 */
import { StainError } from '../errors.ts';
import type { ArchiveConnection, JsonAnswer } from './connection.ts';

export type SearchLevel = 'studies' | 'series' | 'instances';

export const NO_MATCH: JsonAnswer = { items: [], bytes: 0, hasMore: false };

export function isNotFound(error: unknown): boolean {
  return error instanceof StainError && (error.code === 'NOT_FOUND' || error.code === 'SERIES_NOT_FOUND');
}

/** A series or instance that the archive does not know is an answer here, not a fault. */
export async function orNone<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Returns where 404 to a search of the whole archive means that nothing matches.
 * @throws ARCHIVE_UNREACHABLE where no DICOMweb service is at the address, ARCHIVE_LACKING where it has no such search
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
        'No DICOMweb service is at this address: the archive answers 404 to every search.',
      );
    if (hasStudies)
      throw new StainError(
        'ARCHIVE_LACKING',
        `The archive answers 404 to searches for ${level} of all studies; they can be named by their UIDs only.`,
        { data: { status: 404 } },
      );
  }
  connection.habits.learn({ notFound: 'no match' });
}
