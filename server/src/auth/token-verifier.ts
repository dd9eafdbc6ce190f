/**
 * Verifies bearer tokens (JWT, RFC 9068) of one OpenID Connect issuer. Its keys are found by discovery and cached; an
 * unknown key in a token triggers a new look-up, so the issuer can change its keys at any time.
 */
import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { z } from 'zod';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import { codeOf, isCertificateFault } from '../tls.ts';
import { type Principal, SCOPES, type Scope } from './principal.ts';

const ISSUER_TIMEOUT_MS = 5000;
/** The issuer may change its keys; a withdrawn key is refused after this time at the latest. */
const KEYS_MAX_AGE_MS = 10 * 60_000;
/** Tokens with unknown keys cause at most one request to the issuer in this time. */
const KEYS_COOLDOWN_MS = 10_000;

/** Larger tokens are not parsed: the request headers have room for 16 kB in total. */
const MAX_TOKEN = 12_288;
/** At most 255 characters (OpenID Connect Core section 2), none of them invisible. */
const SUBJECT = /^[^\p{C}\p{Zl}\p{Zp}]{1,255}$/u;

const discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

/** @throws UNAUTHENTICATED if the token is invalid, LOGIN_UNAVAILABLE if the issuer does not answer */
export type VerifyToken = (token: string) => Promise<Principal>;

export function createTokenVerifier(
  oidc: Config['oidc'] & { readonly issuer: string; readonly audience: string },
): VerifyToken {
  const options = {
    issuer: oidc.issuer,
    audience: oidc.audience,
    // Never "none", and no algorithm whose key could be mistaken for another's: the schema accepts only asymmetric
    // ones.
    algorithms: [...oidc.algorithms],
    clockTolerance: oidc.clockToleranceSeconds,
    requiredClaims: ['exp', 'sub'],
  };
  let keys: Promise<JWTVerifyGetKey> | undefined;
  const types = new Set(oidc.tokenTypes.map(mediaType));
  return async (token) => {
    if (token.length > MAX_TOKEN) throw refused();
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
  // OpenID Connect Discovery 4.3: another issuer's document would provide another's keys.
  if (document.issuer !== issuer) throw unavailable(new Error('the document is from another issuer'));
  return createRemoteJWKSet(new URL(document.jwks_uri), {
    timeoutDuration: ISSUER_TIMEOUT_MS,
    cooldownDuration: KEYS_COOLDOWN_MS,
    cacheMaxAge: KEYS_MAX_AGE_MS,
  });
}

/** Whether the token is at fault, not the connection to the issuer. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof errors.JOSEError &&
    !(error instanceof errors.JWKSTimeout) &&
    !(error instanceof errors.JWKSInvalid) &&
    // What jose throws if the issuer answers a request for its keys with a status other than 200.
    error.code !== 'ERR_JOSE_GENERIC'
  );
}

/** A media type in its short form (RFC 7515 section 4.1.9); anything but text counts as no type. */
function mediaType(typ: unknown): string {
  if (typeof typ !== 'string') return '';
  return typ.toLowerCase().replace(/^application\//, '');
}

/**
 * Distinguishes access tokens from ID, refresh and logout tokens, if an issuer gives all of them the same type. Decides
 * by claims that access tokens of Keycloak, Entra ID and Okta lack, or have only together with their scopes.
 */
function isAccessToken(payload: JWTPayload, type: string): boolean {
  const has = (...claims: string[]): boolean => claims.some((claim) => payload[claim] !== undefined);
  // Logout tokens (OpenID Connect Back-Channel Logout 2.4), and ID tokens with the hash of another token.
  if (has('events', 'at_hash', 'c_hash', 's_hash')) return false;
  // Keycloak states the kind of a token: Bearer, ID, Refresh, Offline, Logout.
  if (has('typ')) return String(payload['typ']).toLowerCase() === 'bearer';
  return type === 'at+jwt' || has('scope', 'scp') || !has('nonce', 'auth_time');
}

function refused(cause?: unknown): StainError {
  const why =
    (cause as errors.JOSEError | undefined)?.code === 'ERR_JWT_EXPIRED' ? 'has expired' : 'is not valid here';
  return new StainError('UNAUTHENTICATED', `The token ${why}.`, { cause });
}

function unavailable(cause: unknown): StainError {
  const code = codeOf(cause);
  const what = isCertificateFault(code)
    ? `The certificate of the token issuer is not accepted (${code}).`
    : 'The token issuer does not answer correctly.';
  return new StainError('LOGIN_UNAVAILABLE', what, { cause });
}

/** Scopes from `scope` (RFC 9068), `scp` and `roles`, whichever the issuer uses. */
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
