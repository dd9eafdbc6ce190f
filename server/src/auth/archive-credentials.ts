/**
 * How the archive is told who asks: for the work of the service its own credentials, which outlive any user's token; for
 * what a user may see that user's token, or one that it was exchanged for. No token is written down.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import * as oauth from 'oauth4webapi';
import type { Config } from '../config.ts';
import { passing } from '../dicomweb/retry.ts';
import { StainError } from '../errors.ts';
import { invalidSetting } from '../setting.ts';

const TIMEOUT_MS = 10_000;
/** A token is not used in its last seconds: the archive's clock may be ahead, a request takes its time. */
const MARGIN_SECONDS = 30;
/** Where the issuer does not say how long a token is good for (RFC 6749 section 5.1 only recommends it). */
const SHORT_LIFE_SECONDS = 60;
const MOST_EXCHANGED = 1000;
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export interface ArchiveCredentials {
  /** Headers of the service's own requests. @throws ARCHIVE_LOGIN_FAILED */
  service(): Promise<Record<string, string>>;
  /** The token with which the archive is asked for a user. @throws ARCHIVE_LOGIN_FAILED */
  ofUser(token: string): Promise<string>;
}

interface Token {
  readonly value: string;
  /** In milliseconds since 1970. */
  readonly goodUntil: number;
}

/** @throws CONFIGURATION_INVALID for settings that are there in part */
export function archiveCredentials({
  headers,
  users,
  oauth: settings,
}: Pick<Config['dicomweb'], 'headers' | 'users' | 'oauth'>): ArchiveCredentials {
  const { tokenEndpoint } = settings;
  if (tokenEndpoint === undefined) {
    if (users === 'exchanged')
      throw invalidSetting('dicomweb.oauth.tokenEndpoint', 'tokens of users are exchanged at this address.');
    return { service: async () => headers, ofUser: async (token) => token };
  }
  const ask = tokenRequest({ ...settings, tokenEndpoint });
  let own: Promise<Token> | undefined;
  const exchanged = new LRUCache<string, Promise<Token>>({ max: MOST_EXCHANGED });
  return {
    async service() {
      let token = await own;
      if (!token || token.goodUntil < Date.now()) {
        own = ask('client_credentials', {});
        own.catch(() => {
          own = undefined;
        });
        token = await own;
      }
      return { ...headers, Authorization: `Bearer ${token.value}` };
    },
    async ofUser(subject) {
      if (users !== 'exchanged') return subject;
      // The user's token itself is not kept, only what tells it from others.
      const key = createHash('sha256').update(subject).digest('hex');
      let token = await exchanged.get(key);
      if (!token || token.goodUntil < Date.now()) {
        const asked = ask(TOKEN_EXCHANGE, { subject_token: subject, subject_token_type: ACCESS_TOKEN });
        exchanged.set(key, asked);
        asked.catch(() => exchanged.delete(key));
        token = await asked;
      }
      return token.value;
    },
  };
}

type Settings = Config['dicomweb']['oauth'] & { readonly tokenEndpoint: string };

/** Asks the token endpoint (RFC 6749 section 4.4, RFC 8693). */
function tokenRequest({ tokenEndpoint, clientId, clientSecret, scope, audience }: Settings) {
  if (clientId === undefined || clientSecret === undefined)
    throw invalidSetting('dicomweb.oauth', 'clientId and clientSecret are needed with tokenEndpoint.');
  const server: oauth.AuthorizationServer = {
    issuer: new URL(tokenEndpoint).origin,
    token_endpoint: tokenEndpoint,
  };
  const client: oauth.Client = { client_id: clientId };
  const secret = oauth.ClientSecretBasic(clientSecret);
  return async (grant: string, parameters: Record<string, string>): Promise<Token> => {
    const all = new URLSearchParams({
      ...parameters,
      ...(scope !== undefined && { scope }),
      ...(audience !== undefined && { audience }),
    });
    try {
      const response = await oauth.genericTokenEndpointRequest(server, client, secret, grant, all, {
        signal: AbortSignal.timeout(TIMEOUT_MS),
        [oauth.allowInsecureRequests]: new URL(tokenEndpoint).protocol === 'http:',
      });
      const { access_token, expires_in = SHORT_LIFE_SECONDS } =
        await oauth.processGenericTokenEndpointResponse(server, client, response);
      const seconds = Math.max(expires_in - MARGIN_SECONDS, expires_in / 2);
      return { value: access_token, goodUntil: Date.now() + seconds * 1000 };
    } catch (cause) {
      const error = new StainError('ARCHIVE_LOGIN_FAILED', 'There is no token for the archive.', { cause });
      // What the issuer refuses (RFC 6749 section 5.2) is not granted later either.
      const isRefused =
        cause instanceof oauth.ResponseBodyError || cause instanceof oauth.WWWAuthenticateChallengeError;
      throw isRefused ? error : passing(error);
    }
  };
}
