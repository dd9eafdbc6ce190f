/** A real OpenID Connect issuer on this host. The tests also have its key, to make tokens that it would never issue. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import Provider from 'oidc-provider';

export const AUDIENCE = 'https://stain.example/api';
const SCOPES = 'stain.read stain.normalize stain.administer';

export interface Issuer extends AsyncDisposable {
  readonly url: string;
  /** A token as issued to a client of that name. */
  token(client: string, scope?: string): Promise<string>;
  /** A token signed with the issuer's key, with claims that replace the right ones. */
  forge(claims?: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>;
  /** The public key, as JSON Web Key. */
  publicKey(): Promise<Record<string, unknown>>;
  /** Signs with another key from now on, and no longer publishes the old one. */
  rotate(): Promise<void>;
  /** Does not respond any more, until `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

/** @param viewer root of a viewer that signs in as the client `ohif`, with a page for name and password */
export async function startIssuer(clients: readonly string[], viewer?: string): Promise<Issuer> {
  let key = await newKey();
  let server: Server | undefined;
  let port = 0;
  const url = (): string => `http://127.0.0.1:${port}`;
  const stop = async (): Promise<void> => {
    server?.closeAllConnections();
    await new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    server = undefined;
  };
  const start = async (): Promise<void> => {
    const listening = createServer();
    server = listening;
    await new Promise<void>((resolve) => listening.listen(port, '127.0.0.1', resolve));
    port = (listening.address() as AddressInfo).port;
    const provider = new Provider(url(), {
      clients: [
        ...clients.map((id) => ({
          client_id: id,
          client_secret: 'secret',
          grant_types: ['client_credentials'],
          redirect_uris: [],
          response_types: [],
        })),
        ...(viewer
          ? [
              {
                client_id: 'ohif',
                token_endpoint_auth_method: 'none' as const,
                grant_types: ['authorization_code'],
                response_types: ['code' as const],
                redirect_uris: [`${viewer}/callback`],
                post_logout_redirect_uris: [`${viewer}/`],
              },
            ]
          : []),
      ],
      clientBasedCORS: () => true,
      jwks: { keys: [key.jwk] },
      scopes: SCOPES.split(' '),
      features: {
        devInteractions: { enabled: viewer !== undefined },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => AUDIENCE,
          useGrantedResource: () => true,
          getResourceServerInfo: () => ({
            scope: SCOPES,
            audience: AUDIENCE,
            accessTokenFormat: 'jwt',
            accessTokenTTL: 600,
            jwt: { sign: { alg: 'RS256' } },
          }),
        },
      },
    });
    listening.on('request', provider.callback());
  };
  await start();
  return {
    get url() {
      return url();
    },
    async token(client, scope = 'stain.read stain.normalize') {
      const ask = (): Promise<Response> =>
        fetch(`${url()}/token`, {
          method: 'POST',
          headers: { authorization: `Basic ${Buffer.from(`${client}:secret`).toString('base64')}` },
          body: new URLSearchParams({ grant_type: 'client_credentials', scope }),
        });
      // Kept connections are useless once the issuer has been restarted.
      const response = await ask().catch(ask);
      const answer = (await response.json()) as { access_token?: string };
      if (!answer.access_token) throw new Error(`no token: ${JSON.stringify(answer)}`);
      return answer.access_token;
    },
    forge: (claims = {}, header = {}) =>
      new SignJWT({ scope: SCOPES, sub: 'alice', iss: url(), aud: AUDIENCE, exp: soon(), ...claims })
        .setProtectedHeader({
          alg: 'RS256',
          typ: 'at+jwt',
          kid: key.jwk.kid,
          ...header,
        } as JWTHeaderParameters)
        // Including tokens that jose itself would not sign: with unknown critical extensions.
        .sign(key.privateKey, { crit: Object.fromEntries((header.crit ?? []).map((name) => [name, true])) }),
    publicKey: async () => ({ ...(await exportJWK(key.publicKey)) }),
    async rotate() {
      key = await newKey();
      await stop();
      await start();
    },
    stop,
    start,
    [Symbol.asyncDispose]: stop,
  };
}

/** Ten minutes from now, in seconds since 1970. */
export function soon(): number {
  return Math.floor(Date.now() / 1000) + 600;
}

async function newKey() {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
  const kid = crypto.randomUUID();
  const jwk = { ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' };
  return { privateKey, publicKey, jwk };
}
