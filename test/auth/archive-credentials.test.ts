/** The credentials that the archive receives: tokens of a real issuer for the service, exchanged tokens for users. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import { loadConfig } from '../../server/src/config.ts';
import { isRetryable } from '../../server/src/dicomweb/retry.ts';
import { type Issuer, startIssuer } from '../support/issuer.ts';

const settings = (env: Record<string, string>) =>
  archiveCredentials(
    loadConfig({
      env: {
        STAIN_DICOMWEB_OAUTH_CLIENT_ID: 'stain',
        STAIN_DICOMWEB_OAUTH_CLIENT_SECRET: 'secret',
        STAIN_DICOMWEB_OAUTH_SCOPE: 'stain.read',
        ...env,
      },
    }).dicomweb,
  );

describe('the service', () => {
  let issuer: Issuer;
  beforeEach(async () => {
    issuer = await startIssuer(['stain']);
  });
  afterEach(() => issuer[Symbol.asyncDispose]());

  it('has a token of the issuer, and requests no other while it is valid', async () => {
    const credentials = settings({
      STAIN_DICOMWEB_OAUTH_TOKEN_ENDPOINT: `${issuer.url}/token`,
      STAIN_DICOMWEB_HEADERS: '{"X-Tenant":"one"}',
    });
    const headers = await credentials.service();
    expect(headers['X-Tenant']).toBe('one');
    expect(decodeJwt(headers['Authorization']!.replace('Bearer ', '')).sub).toBe('stain');
    await issuer.stop();
    expect(await credentials.service()).toEqual(headers);
    // Tokens of users are only exchanged if that is configured.
    expect(await credentials.ofUser('theirs')).toBe('theirs');
  });

  it('gets one later if the issuer is unreachable, and never if it does not know the client', async () => {
    const endpoint = `${issuer.url}/token`;
    const failure = (env: Record<string, string>): Promise<unknown> =>
      settings({ STAIN_DICOMWEB_OAUTH_TOKEN_ENDPOINT: endpoint, ...env })
        .service()
        .then(
          () => undefined,
          (error) => error,
        );
    const refused = await failure({ STAIN_DICOMWEB_OAUTH_CLIENT_SECRET: 'wrong' });
    expect(refused).toMatchObject({ code: 'ARCHIVE_LOGIN_FAILED' });
    expect(isRetryable(refused)).toBe(false);
    await issuer.stop();
    const away = await failure({});
    expect(away).toMatchObject({ code: 'ARCHIVE_LOGIN_FAILED' });
    expect(isRetryable(away)).toBe(true);
    expect(String(away)).not.toContain('secret');
  });

  it('has the configured headers if there is no token endpoint', async () => {
    const credentials = settings({ STAIN_DICOMWEB_HEADERS: '{"Authorization":"Basic abc"}' });
    expect(await credentials.service()).toEqual({ Authorization: 'Basic abc' });
  });
});

describe('a token of a user', () => {
  let server: Server;
  let endpoint: string;
  let asked: URLSearchParams[];
  const seconds = 300;

  // The issuer of the other tests does not support this grant.
  beforeEach(async () => {
    asked = [];
    server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const parameters = new URLSearchParams(body);
      asked.push(parameters);
      response.setHeader('Content-Type', 'application/json');
      if (parameters.get('subject_token') === 'unknown') {
        response.statusCode = 400;
        return void response.end('{"error":"invalid_request"}');
      }
      response.end(
        JSON.stringify({
          access_token: `for-${parameters.get('subject_token')}-${asked.length}`,
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
          token_type: 'Bearer',
          expires_in: seconds,
        }),
      );
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  });
  afterEach(() => {
    vi.useRealTimers();
    server.closeAllConnections();
    server.close();
  });
  const exchanging = () =>
    settings({
      STAIN_DICOMWEB_OAUTH_TOKEN_ENDPOINT: endpoint,
      STAIN_DICOMWEB_OAUTH_AUDIENCE: 'https://pacs.example',
      STAIN_DICOMWEB_USERS: 'exchanged',
    });

  it('is exchanged for one for the archive (RFC 8693), once while that is valid', async () => {
    const credentials = exchanging();
    expect(await credentials.ofUser('alice')).toBe('for-alice-1');
    expect(Object.fromEntries(asked[0]!)).toMatchObject({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: 'alice',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      audience: 'https://pacs.example',
    });
    expect(await credentials.ofUser('bob')).toBe('for-bob-2');
    expect(await credentials.ofUser('alice')).toBe('for-alice-1');
  });

  it('is exchanged again when that has expired', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const credentials = exchanging();
    await credentials.ofUser('alice');
    vi.setSystemTime(Date.now() + seconds * 1000);
    expect(await credentials.ofUser('alice')).toBe('for-alice-2');
  });

  it('is not tried again and again if the issuer refuses it', async () => {
    const error = await exchanging()
      .ofUser('unknown')
      .catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'ARCHIVE_LOGIN_FAILED' });
    expect(isRetryable(error)).toBe(false);
  });
});

it.each([
  [{ STAIN_DICOMWEB_USERS: 'exchanged' }],
  [{ STAIN_DICOMWEB_OAUTH_TOKEN_ENDPOINT: 'https://x.example/t', STAIN_DICOMWEB_OAUTH_CLIENT_SECRET: '' }],
])('incomplete settings are refused', (env: Record<string, string>) => {
  expect(() => settings(env)).toThrow(expect.objectContaining({ code: 'CONFIGURATION_INVALID' }));
});
