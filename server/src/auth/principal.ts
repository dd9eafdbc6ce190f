/** Who asks, and what they may do. */

/** Reading jobs, slides and templates; asking for normalisations and storing; what concerns all users. Each holds those before it. */
export const SCOPES = ['read', 'normalize', 'administer'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Principal {
  /** `<issuer>#<subject>` of the token; `local` where there is no login. */
  readonly id: string;
  readonly scopes: ReadonlySet<Scope>;
  /** As it came, for the archive. It is neither logged nor stored. */
  readonly token?: string;
  /** When the token ends, in milliseconds since 1970. */
  readonly expiresAt?: number;
}

/** Everybody, where there is no login: the service then listens to its own host only. */
export const LOCAL: Principal = { id: 'local', scopes: new Set(SCOPES) };
