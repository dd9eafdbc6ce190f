/**
 * Whether the archive tells users apart, as `dicomweb.users` promises with a login. One that does not accept tokens at all
 * refuses every user's query, and every slide is a 404: nothing else would say why.
 */
import { StainError } from '../../../core/src/errors.ts';
import { createDicomWebClient } from '../dicomweb/client.ts';
import { type ArchiveWithUsers, urlForUsers } from './access.ts';
import type { ArchiveCredentials } from './archive-credentials.ts';
import type { Login } from './login.ts';

const TIMEOUT_MS = 8000;
/** Archives log tokens that they refuse, so a probe does not always bring one. */
const HOLDS_MS = { good: 3_600_000, bad: 60_000 } as const;
/** Issued by nobody. */
const NO_TOKEN = 'a-check-of-stain-normalization';

export interface ArchiveUsers {
  /** What is wrong, if anything. Nothing for an archive that is away, which other checks tell. */
  look(): Promise<StainError | undefined>;
  /** For /ready. @throws ARCHIVE_WITHOUT_USERS if no user sees anything */
  check(): Promise<void>;
}

/** @returns undefined if the archive is not asked with the tokens of users */
export function openArchiveUsers(
  { dicomweb }: { readonly dicomweb: ArchiveWithUsers },
  login: Login,
  { reach }: Pick<ArchiveCredentials, 'reach'>,
): ArchiveUsers | undefined {
  const url = urlForUsers(dicomweb, login);
  if (url === undefined) return undefined;
  let last: { readonly fault: StainError | undefined; readonly until: number } | undefined;
  const look = async (): Promise<StainError | undefined> => {
    if (!last || performance.now() > last.until) {
      const fault = await faultOf(url, reach);
      last = { fault, until: performance.now() + (fault ? HOLDS_MS.bad : HOLDS_MS.good) };
    }
    return last.fault;
  };
  return {
    look,
    async check() {
      const fault = await look();
      // The service does its work for an archive that answers anybody, only not as it was told to.
      if (fault && fault.data['answersAnybody'] !== true) throw fault;
    },
  };
}

async function faultOf(url: string, reach: ArchiveCredentials['reach']): Promise<StainError | undefined> {
  const headers = { authorization: `Bearer ${NO_TOKEN}` };
  const client = createDicomWebClient({ url, ...reach, headers, timeoutMs: TIMEOUT_MS, maxRetries: 0 });
  try {
    await client.searchStudies({ limit: 1 }, AbortSignal.timeout(TIMEOUT_MS));
    return new StainError(
      'ARCHIVE_WITHOUT_USERS',
      'The archive accepts a token that nobody issued: every user who may read sees everything in it.',
      { data: { answersAnybody: true } },
    );
  } catch (error) {
    const { schemes } = (error instanceof StainError ? error.data : {}) as { schemes?: readonly string[] };
    if (!schemes?.length || schemes.includes('bearer')) return undefined;
    return new StainError(
      'ARCHIVE_WITHOUT_USERS',
      `The archive requires other credentials (${schemes.join(', ')}) than the tokens of users: nobody can see a slide.`,
    );
  } finally {
    await client.close();
  }
}
