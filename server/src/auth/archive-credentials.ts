/**
 * How the archive learns who is asking. The service's own work uses its own credentials, which outlive any user's
 * token. What a user may see is queried with the user's token, or with one obtained in exchange for it. No token is
 * stored.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import * as oauth from 'oauth4webapi';
import { StainError } from '../../../core/src/errors.ts';
import type { Config } from '../config.ts';
import type { Reach } from '../dicomweb/archive-agent.ts';
import { invalidSetting } from '../setting.ts';
import { codeOf, isCertificateFault } from '../tls.ts';

const TIMEOUT_MS = 10_000;
/** A token is not used in its last seconds: the archive's clock may be ahead, and a request takes time. */
const MARGIN_SECONDS = 30;
/** Assumed lifetime if the issuer does not state one (RFC 6749 section 5.1 only recommends it). */
const SHORT_LIFE_SECONDS = 60;
const MAX_EXCHANGED = 1000;
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export interface ArchiveCredentials {
  /** For every connection, whoever asks; its client certificate identifies the service. */
  readonly reach: Reach;
  /** Headers of the service's own requests. @throws ARCHIVE_LOGIN_FAILED */
  service(): Promise<Record<string, string>>;
  /** The token for querying the archive on behalf of a user. @throws ARCHIVE_LOGIN_FAILED */
  ofUser(token: string): Promise<string>;
}

interface Token {
  readonly value: string;
  /** In milliseconds since 1970. */
  readonly goodUntil: number;
}

/** @throws CONFIGURATION_INVALID for incomplete settings */
export function archiveCredentials(
  { headers, users, oauth: settings }: Pick<Config['dicomweb'], 'headers' | 'users' | 'oauth'>,
  reach: Reach = {},
): ArchiveCredentials {
  const { tokenEndpoint } = settings;
  if (tokenEndpoint === undefined) {
    if (users === 'exchanged')
      throw invalidSetting('dicomweb.oauth.tokenEndpoint', 'required to exchange the tokens of users.');
    return { reach, service: async () => headers, ofUser: async (token) => token };
  }
  const ask = tokenRequest({ ...settings, tokenEndpoint });
  let own: Promise<Token> | undefined;
  const exchanged = new LRUCache<string, Promise<Token>>({ max: MAX_EXCHANGED });
  return {
    reach,
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
      // The user's token itself is not kept, only a hash of it.
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
    throw invalidSetting('dicomweb.oauth', 'tokenEndpoint requires clientId and clientSecret.');
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
      const code = codeOf(cause);
      if (isCertificateFault(code))
        throw new StainError(
          'ARCHIVE_LOGIN_FAILED',
          `The certificate of the token endpoint is not accepted (${code}): NODE_EXTRA_CA_CERTS must name its CA.`,
          { cause },
        );
      // What the issuer refuses (RFC 6749 section 5.2) will not be granted later either.
      const isRefused =
        cause instanceof oauth.ResponseBodyError || cause instanceof oauth.WWWAuthenticateChallengeError;
      throw new StainError('ARCHIVE_LOGIN_FAILED', 'No token for the archive could be obtained.', {
        cause,
        retry: isRefused ? undefined : {},
      });
    }
  };
}
