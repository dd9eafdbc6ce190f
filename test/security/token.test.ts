/** Tokens signed by the issuer that are not access tokens for this service: all are refused. */
import type { JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Login, openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { AUDIENCE, type Issuer, soon, startIssuer } from '../support/issuer.ts';

let issuer: Issuer;
let login: Login;
/** The configuration for issuers whose access tokens have only the type JWT. */
let broad: Login;

beforeAll(async () => {
  issuer = await startIssuer(['alice']);
  const open = (env: Record<string, string> = {}): Login =>
    openLogin(loadConfig({ env: { STAIN_OIDC_ISSUER: issuer.url, STAIN_OIDC_AUDIENCE: AUDIENCE, ...env } }));
  login = open();
  broad = open({ STAIN_OIDC_TOKEN_TYPES: 'at+jwt,JWT' });
});
afterAll(() => issuer[Symbol.asyncDispose]());

const REFUSED = { code: 'UNAUTHENTICATED', status: 401 };
const expectRefused = async (at: Login, token: string): Promise<void> => {
  await expect(at.identify(`Bearer ${token}`)).rejects.toMatchObject(REFUSED);
};

describe('attack: another kind of token of the same issuer in place of an access token', () => {
  it("the issuer's access token is accepted", async () => {
    const token = await issuer.token('alice', 'stain.read');
    expect(await login.identify(`Bearer ${token}`)).toMatchObject({ id: `${issuer.url}#alice` });
  });

  it.each(['at+jwt', 'AT+JWT', 'application/at+jwt'])('typ %s is that of an access token', async (typ) => {
    expect(await login.identify(`Bearer ${await issuer.forge({}, { typ })}`)).toMatchObject({
      id: `${issuer.url}#alice`,
    });
  });

  it.each([
    ['a type that says no more than JWT', 'JWT'],
    ['no type', undefined],
    ['the type of a logout token', 'logout+jwt'],
    ['the type of a request object', 'oauth-authz-req+jwt'],
    ['the type of an introspection answer', 'token-introspection+jwt'],
    ['the type of a proof of possession', 'dpop+jwt'],
    ['a malformed type', 'at+jwt,JWT'],
    ['a type that is a list', ['at+jwt'] as unknown as string],
    ['a type that is a number', 1 as unknown as string],
  ])('%s is refused', async (_what, typ) => {
    await expectRefused(login, await issuer.forge({}, { typ }));
    if (typ !== 'JWT' && typ !== undefined) await expectRefused(broad, await issuer.forge({}, { typ }));
  });

  it.each<[string, JWTPayload]>([
    ['an access token of Keycloak', { typ: 'Bearer', nonce: 'n', auth_time: 1, scope: 'stain.read' }],
    ['an access token of Entra ID', { scope: undefined, scp: 'stain.read', ver: '2.0' }],
    ['an access token of Entra ID for an application', { scope: undefined, roles: ['stain.read'] }],
    ['an access token of Okta', { scope: undefined, scp: ['stain.read'], auth_time: 1 }],
  ])('where JWT is configured: %s is accepted', async (_what, claims) => {
    for (const typ of ['JWT', undefined])
      expect(await broad.identify(`Bearer ${await issuer.forge(claims, { typ })}`)).toMatchObject({
        id: `${issuer.url}#alice`,
      });
  });

  it.each<[string, JWTPayload]>([
    ['an ID token with the hash of an access token', { at_hash: 'x' }],
    ['an ID token with the hash of a code', { c_hash: 'x' }],
    ['an ID token with a nonce', { nonce: 'n', scope: undefined, roles: ['stain.read'] }],
    ['an ID token with the time of the login', { auth_time: 1, scope: undefined, roles: ['stain.read'] }],
    ['an ID token of Keycloak', { typ: 'ID', scope: 'stain.read' }],
    ['a refresh token of Keycloak', { typ: 'Refresh' }],
    ['an offline token of Keycloak', { typ: 'Offline' }],
    ['a logout token of Keycloak', { typ: 'Logout' }],
    ['a logout token', { events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }],
  ])('where JWT is configured: %s is refused', async (_what, claims) => {
    await expectRefused(broad, await issuer.forge(claims, { typ: 'JWT' }));
    await expectRefused(broad, await issuer.forge(claims, { typ: undefined }));
  });

  it('an ID token that the issuer calls an access token is refused by its content', async () => {
    await expectRefused(login, await issuer.forge({ at_hash: 'x' }));
    await expectRefused(login, await issuer.forge({ events: {} }));
    await expectRefused(login, await issuer.forge({ typ: 'ID' }));
  });

  it('an audience that only resembles ours is refused', async () => {
    for (const aud of [`${AUDIENCE}/`, AUDIENCE.toUpperCase(), `${AUDIENCE} `, [`${AUDIENCE}x`], ''])
      await expectRefused(login, await issuer.forge({ aud }));
    await login.identify(`Bearer ${await issuer.forge({ aud: ['https://other.example', AUDIENCE] })}`);
  });
});

describe('attack: a subject that names nobody, or corrupts records', () => {
  it.each<[string, unknown]>([
    ['an empty one', ''],
    ['blanks', '   '],
    ['a number', 7],
    ['a list', ['alice']],
    ['an object', { toString: 'alice' }],
    ['null', null],
    ['a line break', 'alice\nbob'],
    ['a NUL', 'alice\0'],
    ['a mark that changes the direction of text', 'alice\u202eecila'],
    ['an endless one', 'a'.repeat(256)],
  ])('%s is refused', async (_what, sub) => {
    await expectRefused(login, await issuer.forge({ sub: sub as string }));
  });

  it('one of the maximum length of OpenID Connect is accepted', async () => {
    const sub = 'a'.repeat(255);
    expect((await login.identify(`Bearer ${await issuer.forge({ sub })}`)).id).toBe(`${issuer.url}#${sub}`);
  });
});

describe('attack: times and headers that a verifier may overlook', () => {
  it.each<[string, JWTPayload]>([
    ['not valid before tomorrow', { nbf: soon() + 86_400 }],
    ['issued tomorrow', { iat: soon() + 86_400 }],
    ['issued at no time', { iat: 'now' as unknown as number }],
    ['an expiry that is not a number', { exp: '9999999999' as unknown as number }],
  ])('%s: refused', async (_what, claims) => {
    await expectRefused(login, await issuer.forge(claims));
  });

  it('an unknown critical extension: refused', async () => {
    await expectRefused(login, await issuer.forge({}, { crit: ['limit'], limit: 1 }));
  });

  it('a very long one is refused before it is parsed', async () => {
    const token = await issuer.forge({ groups: 'g'.repeat(20_000) });
    await expectRefused(login, token);
    await expect(login.identify(`Bearer ${'a'.repeat(10_000_000)}`)).rejects.toMatchObject(REFUSED);
  });
});
