/** The user, and what the user may do. */

/**
 * Read jobs, slides and templates; request normalisations and store; administer. Each scope includes those before it.
 */
export const SCOPES = ['read', 'normalize', 'administer'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Principal {
  /** `<issuer>#<subject>` of the token; `local` if there is no login. */
  readonly id: string;
  readonly scopes: ReadonlySet<Scope>;
  /** The token as received, for the archive. It is neither logged nor stored. */
  readonly token?: string;
  /** When the token expires, in milliseconds since 1970. */
  readonly expiresAt?: number;
}

/** Everybody, if there is no login: the service is then reachable only from its own host. */
export const LOCAL: Principal = { id: 'local', scopes: new Set(SCOPES) };
