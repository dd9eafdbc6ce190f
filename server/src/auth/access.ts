/**
 * Who may see a series: the users to whom the archive shows it. The archive is queried with the user's own token, and
 * the answer is reused for a minute.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import { type DicomJson, textOf } from '../dicom/json-model.ts';
import { ArchiveHabits, type Habits } from '../dicomweb/archive-habits.ts';
import {
  createDicomWebClient,
  type DicomWebClient,
  type SearchOptions,
  type SearchParameters,
} from '../dicomweb/client.ts';
import type { SeriesOfArchive, SeriesReference } from '../pipeline/series-reference.ts';
import type { ArchiveCredentials } from './archive-credentials.ts';
import type { Login } from './login.ts';
import type { Principal } from './principal.ts';
import { hiding } from './refusal.ts';

const ANSWER_HOLDS_MS = 60_000;
const MAX_ANSWERS = 10_000;
const PROBE_TIMEOUT_MS = 15_000;

/** What decides whether the archive is asked with the tokens of users. */
export type ArchiveWithUsers = Pick<Config['dicomweb'], 'url' | 'users'>;

export interface Access {
  /** @throws ARCHIVE_NOT_FOUND, and ARCHIVE_UNREACHABLE and the like if the archive cannot be queried */
  canRead(principal: Principal, series: SeriesOfArchive): Promise<boolean>;
}

/** Asks the archive that holds the series. @param of its access. @throws ARCHIVE_NOT_FOUND */
export function accessByArchive(of: (source: string | undefined) => Access): Access {
  return { canRead: async (principal, series) => of(series.source).canRead(principal, series) };
}

/** For an archive without users: whoever may read here may read everything. */
export const OPEN_ACCESS: Access = { canRead: async () => true };

/** Queries the archive at this URL. */
export function archiveAccess(
  url: string,
  credentials: ArchiveCredentials,
  profile?: Partial<Habits>,
): Access {
  // The token itself is not kept, only a hash of it.
  const answers = new LRUCache<string, Promise<boolean>>({ max: MAX_ANSWERS, ttl: ANSWER_HOLDS_MS });
  const habits = new ArchiveHabits(profile);
  return {
    async canRead({ token }, series) {
      if (token === undefined) return false;
      const key = createHash('sha256')
        .update(JSON.stringify([token, series.studyInstanceUid, series.seriesInstanceUid]))
        .digest('hex');
      let answer = answers.get(key);
      if (!answer) {
        answer = probe({ url, habits, credentials }, token, series);
        answers.set(key, answer);
        // A query that failed is repeated next time.
        answer.catch(() => answers.delete(key));
      }
      return answer;
    },
  };
}

/** Searches the archive as a given user. */
export type SearchAsUser = (
  principal: Principal,
  parameters: SearchParameters,
  signal: AbortSignal,
  options?: SearchOptions,
) => Promise<DicomJson[]>;

export interface UserSearches {
  readonly studies: SearchAsUser;
  readonly series: SearchAsUser;
  readonly instances: SearchAsUser;
}

/** @param source uses the service's own credentials; for an archive without users */
export function openSearch(
  { dicomweb }: { readonly dicomweb: ArchiveWithUsers },
  login: Login,
  source: DicomWebClient,
  credentials: ArchiveCredentials,
  profile?: Partial<Habits>,
): UserSearches {
  const url = urlForUsers(dicomweb, login);
  const habits = new ArchiveHabits(profile);
  const of =
    (level: 'searchStudies' | 'searchSeries' | 'searchInstances'): SearchAsUser =>
    async ({ token = '' }, parameters, signal, options) =>
      url === undefined
        ? source[level](parameters, signal, options)
        : asUser({ url, habits, credentials }, token, (client) => client[level](parameters, signal, options));
  return { studies: of('searchStudies'), series: of('searchSeries'), instances: of('searchInstances') };
}

/** @throws SERIES_NOT_FOUND, which does not reveal whether the series exists */
export async function requireAccess(
  access: Access,
  principal: Principal,
  series: SeriesOfArchive,
): Promise<void> {
  if (await access.canRead(principal, series)) return;
  throw hiding(
    new StainError(
      'SERIES_NOT_FOUND',
      `The archive shows you no series ${series.seriesInstanceUid} in study ${series.studyInstanceUid}.`,
    ),
  );
}

/** The embedded archive has no users, and neither has a service without a login. */
export function openAccess(
  { dicomweb }: { readonly dicomweb: ArchiveWithUsers },
  login: Login,
  credentials: ArchiveCredentials,
  profile?: Partial<Habits>,
): Access {
  const url = urlForUsers(dicomweb, login);
  return url === undefined ? OPEN_ACCESS : archiveAccess(url, credentials, profile);
}

/** Whether the archive itself learns who is asking: then its own trail says who read what. */
export function archiveKnowsUsers(config: { readonly dicomweb: ArchiveWithUsers }, login: Login): boolean {
  return urlForUsers(config.dicomweb, login) !== undefined;
}

/** URL of an archive that accepts the tokens of users. */
export function urlForUsers({ url, users }: ArchiveWithUsers, { isRequired }: Login): string | undefined {
  return isRequired && users !== 'unknown' ? url : undefined;
}

/** One archive for all users: what it supports does not depend on the user. */
interface AskedArchive {
  readonly url: string;
  readonly habits: ArchiveHabits;
  readonly credentials: ArchiveCredentials;
}

async function asUser<T>(
  { url, habits, credentials }: AskedArchive,
  token: string,
  ask: (client: DicomWebClient) => Promise<T>,
): Promise<T> {
  const client = createDicomWebClient({
    url,
    ...credentials.reach,
    headers: { authorization: `Bearer ${await credentials.ofUser(token)}` },
    timeoutMs: PROBE_TIMEOUT_MS,
    maxRetries: 1,
    habits,
  });
  try {
    return await ask(client);
  } finally {
    await client.close();
  }
}

async function probe(archive: AskedArchive, token: string, series: SeriesReference): Promise<boolean> {
  // Without a limit: an archive that does not filter by Series Instance UID might return only another series.
  const wanted = {
    StudyInstanceUID: series.studyInstanceUid,
    SeriesInstanceUID: series.seriesInstanceUid,
  };
  try {
    const found = await asUser(archive, token, (client) =>
      client.searchSeries(wanted, AbortSignal.timeout(PROBE_TIMEOUT_MS)),
    );
    return found.some((json) => textOf(json, '0020000E') === series.seriesInstanceUid);
  } catch (error) {
    // The archive does not accept the token, or has nothing under these UIDs.
    if (
      error instanceof StainError &&
      ['ARCHIVE_REFUSED', 'NOT_FOUND', 'SERIES_NOT_FOUND'].includes(error.code)
    )
      return false;
    throw error;
  }
}
