/**
 * Who may see a series: those to whom the archive shows it. The user's own token is used to ask, and the answer holds for
 * a minute.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import { ArchiveHabits } from '../dicomweb/archive-habits.ts';
import {
  createDicomWebClient,
  type DicomWebClient,
  type SearchOptions,
  type SearchParameters,
} from '../dicomweb/client.ts';
import { type DicomJson, textOf } from '../dicomweb/dicom-json.ts';
import { StainError } from '../errors.ts';
import type { SeriesReference } from '../normalization/open-series.ts';
import type { ArchiveCredentials } from './archive-credentials.ts';
import type { Login } from './login.ts';
import type { Principal } from './principal.ts';
import { hiding } from './refusal.ts';

const ANSWER_HOLDS_MS = 60_000;
const MOST_ANSWERS = 10_000;
const PROBE_TIMEOUT_MS = 15_000;

export interface Access {
  /** @throws ARCHIVE_UNREACHABLE and the like where the archive cannot be asked */
  canRead(principal: Principal, series: SeriesReference): Promise<boolean>;
}

/** Where the archive knows no users: whoever may read here may read all. */
export const OPEN_ACCESS: Access = { canRead: async () => true };

/** Asks the archive at this address. */
export function archiveAccess(url: string, credentials: ArchiveCredentials): Access {
  // The token itself is not kept, only what tells it from others.
  const answers = new LRUCache<string, Promise<boolean>>({ max: MOST_ANSWERS, ttl: ANSWER_HOLDS_MS });
  const habits = new ArchiveHabits();
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
        // What could not be answered is asked again.
        answer.catch(() => answers.delete(key));
      }
      return answer;
    },
  };
}

/** Searches for series as the archive shows them to a user. */
export type SearchSeries = (
  principal: Principal,
  parameters: SearchParameters,
  signal: AbortSignal,
  options?: SearchOptions,
) => Promise<DicomJson[]>;

/** @param source asks with the credentials of the service, where the archive knows no users */
export function openSearch(
  { dicomweb }: Pick<Config, 'dicomweb'>,
  login: Login,
  source: DicomWebClient,
  credentials: ArchiveCredentials,
): SearchSeries {
  const url = urlForUsers(dicomweb, login);
  const habits = new ArchiveHabits();
  return async ({ token = '' }, parameters, signal, options) =>
    url === undefined
      ? source.searchSeries(parameters, signal, options)
      : asUser({ url, habits, credentials }, token, (client) =>
          client.searchSeries(parameters, signal, options),
        );
}

/** @throws SERIES_NOT_FOUND, which does not tell whether there is such a series */
export async function requireAccess(
  access: Access,
  principal: Principal,
  series: SeriesReference,
): Promise<void> {
  if (await access.canRead(principal, series)) return;
  throw hiding(
    new StainError(
      'SERIES_NOT_FOUND',
      `The archive shows you no series ${series.seriesInstanceUid} in study ${series.studyInstanceUid}.`,
    ),
  );
}

/** The embedded archive knows no users, and without a login there are none. */
export function openAccess(
  { dicomweb }: Pick<Config, 'dicomweb'>,
  login: Login,
  credentials: ArchiveCredentials,
): Access {
  const url = urlForUsers(dicomweb, login);
  return url === undefined ? OPEN_ACCESS : archiveAccess(url, credentials);
}

/** Whether the archive itself is told who asks: then its own trail tells who read what. */
export function archiveKnowsUsers(config: Pick<Config, 'dicomweb'>, login: Login): boolean {
  return urlForUsers(config.dicomweb, login) !== undefined;
}

/** Of an archive that takes the tokens of users. */
function urlForUsers({ url, users }: Config['dicomweb'], { isRequired }: Login): string | undefined {
  return isRequired && users !== 'unknown' ? url : undefined;
}

/** One archive for all its users: what it takes does not hang on who asks. */
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
  // Without a limit: an archive that does not filter by Series Instance UID would give another series.
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
    // The archive does not take the token, or shows nothing under these identifiers.
    if (
      error instanceof StainError &&
      ['ARCHIVE_REFUSED', 'NOT_FOUND', 'SERIES_NOT_FOUND'].includes(error.code)
    )
      return false;
    throw error;
  }
}
