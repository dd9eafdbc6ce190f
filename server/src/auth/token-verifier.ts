/**
 * Bearer tokens (JWT, RFC 9068) of one OpenID Connect issuer. Its keys are found by discovery, cached, and looked at again
 * when a token names one that is not among them, so that the issuer can change its keys at any time.
 */
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { StainError } from '../errors.ts';
import { type Principal, SCOPES, type Scope } from './principal.ts';

const ISSUER_TIMEOUT_MS = 5000;
/** Keys may change meanwhile; one that was withdrawn is refused after this time at the latest. */
const KEYS_MAX_AGE_MS = 10 * 60_000;
/** Tokens with unknown keys make us ask the issuer no more often than this. */
const KEYS_COOLDOWN_MS = 10_000;

/** Larger ones are not looked into: a request's headers have room for 16 kB together. */
const LONGEST_TOKEN = 12_288;
/** 255 characters at most (OpenID Connect Core section 2), none of them invisible. */
const SUBJECT = /^[^\p{C}\p{Zl}\p{Zp}]{1,255}$/u;

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

/** @throws UNAUTHENTICATED for a token that is not valid, LOGIN_UNAVAILABLE where the issuer does not answer */
export type VerifyToken = (token: string) => Promise<Principal>;

export function createTokenVerifier(
  oidc: Config['oidc'] & { readonly issuer: string; readonly audience: string },
): VerifyToken {
  const options = {
    issuer: oidc.issuer,
    audience: oidc.audience,
    // Never "none", and no algorithm whose key could be mistaken for another's: the schema takes asymmetric ones only.
    algorithms: [...oidc.algorithms],
    clockTolerance: oidc.clockToleranceSeconds,
    requiredClaims: ['exp', 'sub'],
  };
  let keys: Promise<JWTVerifyGetKey> | undefined;
  const types = new Set(oidc.tokenTypes.map(mediaType));
  return async (token) => {
    if (token.length > LONGEST_TOKEN) throw refused();
    keys ??= discoverKeys(oidc.issuer).catch((error) => {
      keys = undefined;
      throw error;
    });
    const { payload, protectedHeader } = await jwtVerify(token, await keys, options).catch(
      (error: unknown) => {
        throw isRefusal(error) ? refused(error) : unavailable(error);
      },
    );
    const { sub, iat } = payload as Record<string, unknown>;
    const type = mediaType(protectedHeader.typ ?? 'JWT');
    if (!types.has(type) || !isAccessToken(payload, type)) throw refused();
    if (typeof sub !== 'string' || !SUBJECT.test(sub) || sub.trim() === '') throw refused();
    if (iat !== undefined && !(Number(iat) <= Date.now() / 1000 + oidc.clockToleranceSeconds))
      throw refused();
    return {
      id: `${payload.iss}#${sub}`,
      scopes: scopesOf(payload, oidc),
      token,
      expiresAt: payload.exp! * 1000,
    };
  };
}

async function discoverKeys(issuer: string): Promise<JWTVerifyGetKey> {
  let document: z.infer<typeof discovery>;
  try {
    const response = await fetch(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, {
      signal: AbortSignal.timeout(ISSUER_TIMEOUT_MS),
      redirect: 'error',
    });
    document = discovery.parse(await response.json());
  } catch (error) {
    throw unavailable(error);
  }
  // OpenID Connect Discovery 4.3: another issuer's document would bring another's keys.
  if (document.issuer !== issuer) throw unavailable(new Error('the document is of another issuer'));
  return createRemoteJWKSet(new URL(document.jwks_uri), {
    timeoutDuration: ISSUER_TIMEOUT_MS,
    cooldownDuration: KEYS_COOLDOWN_MS,
    cacheMaxAge: KEYS_MAX_AGE_MS,
  });
}

/** The token's fault, and not that of the way to the issuer. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof errors.JOSEError &&
    !(error instanceof errors.JWKSTimeout) &&
    !(error instanceof errors.JWKSInvalid) &&
    // What jose throws when the issuer answers its keys with another status than 200.
    error.code !== 'ERR_JOSE_GENERIC'
  );
}

/** A media type in its short form (RFC 7515 section 4.1.9); what is no text is no type. */
function mediaType(typ: unknown): string {
  if (typeof typ !== 'string') return '';
  return typ.toLowerCase().replace(/^application\//, '');
}

/**
 * Tells ID, refresh and logout tokens from access tokens, where an issuer gives all of them one type. Claims decide that
 * access tokens of Keycloak, Entra ID and Okta do not have, or have beside their scopes only.
 */
function isAccessToken(payload: JWTPayload, type: string): boolean {
  const has = (...claims: string[]): boolean => claims.some((claim) => payload[claim] !== undefined);
  // Logout tokens (OpenID Connect Back-Channel Logout 2.4), and ID tokens with the hash of another one.
  if (has('events', 'at_hash', 'c_hash', 's_hash')) return false;
  // Keycloak says which kind a token is of: Bearer, ID, Refresh, Offline, Logout.
  if (has('typ')) return String(payload['typ']).toLowerCase() === 'bearer';
  return type === 'at+jwt' || has('scope', 'scp') || !has('nonce', 'auth_time');
}

function refused(cause?: unknown): StainError {
  const why =
    (cause as errors.JOSEError | undefined)?.code === 'ERR_JWT_EXPIRED' ? 'has run out' : 'is not valid here';
  return new StainError('UNAUTHENTICATED', `The token ${why}.`, { cause });
}

function unavailable(cause: unknown): StainError {
  return new StainError('LOGIN_UNAVAILABLE', 'The issuer of the tokens does not answer as it should.', {
    cause,
  });
}

/** Names in `scope` (RFC 9068), `scp` and `roles`, whichever the issuer uses. */
function scopesOf(payload: JWTPayload, oidc: Config['oidc']): ReadonlySet<Scope> {
  const granted = new Set(
    ['scope', 'scp', 'roles'].flatMap((claim) => {
      const value = payload[claim];
      if (typeof value === 'string') return value.split(' ');
      return Array.isArray(value) ? value : [];
    }),
  );
  const names = { read: oidc.readScope, normalize: oidc.normalizeScope, administer: oidc.administerScope };
  const highest = SCOPES.findLastIndex((scope) => granted.has(names[scope]));
  return new Set(SCOPES.slice(0, highest + 1));
}
