import type { Access, UserSearches } from '../../auth/access.ts';
import type { Principal } from '../../auth/principal.ts';
import type { NormalizedArchive } from '../../normalized/normalized-archive.ts';

export interface NormalizedRouterOptions {
  /** Name of the archive that holds the slides; undefined for the default one. */
  readonly source?: string | undefined;
  readonly archive: NormalizedArchive;
  readonly access: Access;
  readonly search: Pick<UserSearches, 'studies' | 'series'>;
}

/** A request to the normalised archive. */
export interface Asked extends NormalizedRouterOptions {
  readonly template: string;
  readonly principal: Principal;
  /** Absolute base URL of the archive: clients use the URLs in responses as they are. */
  readonly baseUrl: string;
  /** Fires when the client leaves. */
  readonly signal: AbortSignal;
}
