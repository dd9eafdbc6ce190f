/** The login, with a real issuer: which tokens are accepted, and for what. */
import { createHmac } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Login, openLogin, requireScopeOf } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { AUDIENCE, type Issuer, soon, startIssuer } from '../support/issuer.ts';

let issuer: Issuer;
let login: Login;

const open = (env: Record<string, string> = {}): Login =>
  openLogin(loadConfig({ env: { STAIN_OIDC_ISSUER: issuer.url, STAIN_OIDC_AUDIENCE: AUDIENCE, ...env } }));

beforeAll(async () => {
  issuer = await startIssuer(['alice', 'bob']);
  login = open();
});
afterAll(() => issuer[Symbol.asyncDispose]());
afterEach(() => void vi.useRealTimers());

const read = (token: string) => login.identify(`Bearer ${token}`);
const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token of the issuer', () => {
  it('identifies the user, and what is allowed', async () => {
    const token = await issuer.token('alice', 'stain.read');
    expect(await read(token)).toEqual({
      id: `${issuer.url}#alice`,
      scopes: new Set(['read']),
      token,
      expiresAt: expect.any(Number),
    });
    const principal = await read(token);
    requireScopeOf(principal, 'read');
    expect(() => requireScopeOf(principal, 'normalize')).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN', data: { scope: 'normalize' } }),
    );
  });

  it.each([
    ['stain.normalize', ['read', 'normalize']],
    ['openid stain.administer', ['read', 'normalize', 'administer']],
  ])('with "%s" also allows what precedes it', async (scope, scopes) => {
    expect((await read(await issuer.forge({ scope }))).scopes).toEqual(new Set(scopes));
  });

  it('may have roles or scp, with the configured names', async () => {
    const own = open({ STAIN_OIDC_READ_SCOPE: 'pathologist' });
    for (const claim of ['roles', 'scp']) {
      const token = await issuer.forge({ scope: '', [claim]: ['other', 'pathologist'] });
      expect((await own.identify(`Bearer ${token}`)).scopes).toEqual(new Set(['read']));
    }
    expect((await read(await issuer.forge({ scope: 'stain.reader' }))).scopes).toEqual(new Set());
  });
});

describe('is refused', () => {
  const hour = 3600;
  const forged: [string, () => Promise<string> | string][] = [
    ['a token that has expired', () => issuer.forge({ exp: soon() - 2 * hour })],
    ['one that is not valid yet', () => issuer.forge({ nbf: soon() + hour })],
    ['one without an expiry', () => issuer.forge({ exp: undefined as unknown as number })],
    ['one without a subject', () => issuer.forge({ sub: undefined as unknown as string })],
    ['one for another audience', () => issuer.forge({ aud: 'https://other.example' })],
    ['one of another issuer', () => issuer.forge({ iss: 'https://other.example' })],
    [
      'one signed with another key of the same name',
      async () => {
        const { privateKey } = await generateKeyPair('RS256');
        const [header] = (await issuer.forge()).split('.');
        const { kid } = JSON.parse(Buffer.from(header!, 'base64url').toString());
        return new SignJWT({ scope: 'stain.read', sub: 'alice', iss: issuer.url, aud: AUDIENCE, exp: soon() })
          .setProtectedHeader({ alg: 'RS256', kid })
          .sign(privateKey);
      },
    ],
    [
      'one without a signature (alg: none)',
      async () => {
        const [, payload] = (await issuer.forge()).split('.');
        return `${base64url({ alg: 'none' })}.${payload}.`;
      },
    ],
    [
      'one whose HMAC uses the public key as its secret (HS256 for RS256)',
      async () => {
        const [, payload] = (await issuer.forge()).split('.');
        const signed = `${base64url({ alg: 'HS256' })}.${payload}`;
        const secret = JSON.stringify(await issuer.publicKey());
        return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
      },
    ],
    [
      'one that contains its own key',
      async () => {
        const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
        return new SignJWT({ scope: 'stain.read', sub: 'alice', iss: issuer.url, aud: AUDIENCE, exp: soon() })
          .setProtectedHeader({ alg: 'RS256', jwk: await exportJWK(publicKey) })
          .sign(privateKey);
      },
    ],
    [
      'one with a changed payload',
      async () => {
        const [header, payload, signature] = (await issuer.forge()).split('.');
        const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString());
        return `${header}.${base64url({ ...claims, sub: 'bob' })}.${signature}`;
      },
    ],
    ['a string that is not a token', () => 'abc.def.ghi'],
  ];
  it.each(forged)('%s', async (_what, make) => {
    await expect(read(await make())).rejects.toMatchObject({ code: 'UNAUTHENTICATED', status: 401 });
  });

  it.each([
    ['nothing', undefined],
    ['a password', `Basic ${Buffer.from('alice:secret').toString('base64')}`],
    ['two tokens', 'Bearer a b'],
  ])('%s', async (_what, header) => {
    await expect(login.identify(header)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });
});

it('accepts new keys, and no longer those that the issuer has withdrawn', async () => {
  const old = await issuer.token('alice');
  const own = open();
  await own.identify(`Bearer ${old}`);
  await issuer.rotate();
  const fresh = await issuer.token('alice');
  // The issuer is queried again after some seconds at the earliest, however many unknown keys arrive.
  const early = own.identify(`Bearer ${fresh}`);
  await expect(early).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 30_000 });
  await own.identify(`Bearer ${fresh}`);
  await expect(own.identify(`Bearer ${old}`)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

it('an unreachable issuer is not a fault of the token, and is queried again', async () => {
  const own = open();
  const token = await issuer.token('alice');
  await issuer.stop();
  await expect(own.identify(`Bearer ${token}`)).rejects.toMatchObject({
    code: 'LOGIN_UNAVAILABLE',
    status: 503,
  });
  await issuer.start();
  expect(await own.identify(`Bearer ${token}`)).toMatchObject({ token });
});

describe('the configuration', () => {
  it.each([
    ['server.host', { STAIN_OIDC_ISSUER: '', STAIN_OIDC_AUDIENCE: '', STAIN_SERVER_HOST: '0.0.0.0' }],
    [
      'server.host',
      { STAIN_OIDC_ISSUER: '', STAIN_OIDC_AUDIENCE: '', STAIN_SERVER_HOST: '127.0.0.1.example' },
    ],
    ['oidc.issuer', { STAIN_OIDC_ISSUER: '' }],
    ['oidc.audience', { STAIN_OIDC_AUDIENCE: '' }],
    ['oidc.issuer', { STAIN_OIDC_ISSUER: 'http://issuer.example' }],
  ])('is refused if it leaves a gap: %s', (key, env: Record<string, string>) => {
    expect(() => open(env)).toThrow(
      expect.objectContaining({ code: 'CONFIGURATION_INVALID', data: { key } }),
    );
  });

  it('lets a service without a login listen to its own host only, where everybody may do everything', async () => {
    for (const host of ['127.0.0.1', '::1', 'localhost']) {
      const none = open({ STAIN_OIDC_ISSUER: '', STAIN_OIDC_AUDIENCE: '', STAIN_SERVER_HOST: host });
      expect(none.isRequired).toBe(false);
      expect((await none.identify(undefined)).id).toBe('local');
    }
  });

  it('accepts no symmetric algorithm', () => {
    expect(() => open({ STAIN_OIDC_ALGORITHMS: 'HS256' })).toThrow(/oidc\.algorithms/);
  });
});
