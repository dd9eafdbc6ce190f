/** Whether an archive tells users apart, judged by how it answers a token that nobody issued. */
import { expect, it } from 'vitest';
import { openArchiveUsers } from '../../server/src/auth/archive-users.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { type Handler, startFaultServer } from '../support/fault-server.ts';

const LOGIN = { STAIN_OIDC_ISSUER: 'http://127.0.0.1:1', STAIN_OIDC_AUDIENCE: 'stain' };

async function checkOf(handle: Handler, env: Record<string, string> = LOGIN) {
  const server = await startFaultServer(handle);
  const config = loadConfig({ env: { STAIN_DICOMWEB_URL: server.url, ...env } });
  return { server, users: openArchiveUsers(config, openLogin(config), { reach: {} }) };
}
const challenge =
  (...challenges: string[]): Handler =>
  (_request, response) =>
    void response.writeHead(401, { 'WWW-Authenticate': challenges }).end();

it.each<[string, Handler]>([
  ['asks for a password, as Orthanc does', challenge('Basic realm="Orthanc Secure Area"')],
  ['asks for one of two others', challenge('Negotiate, Digest realm="a, b", nonce="x"')],
])('an archive that %s knows no users', async (_what, handle) => {
  const { server, users } = await checkOf(handle);
  await using _ = server;
  await expect(users!.check()).rejects.toMatchObject({ code: 'ARCHIVE_WITHOUT_USERS' });
  // The answer holds for a while: archives log what they refuse.
  await expect(users!.check()).rejects.toMatchObject({ code: 'ARCHIVE_WITHOUT_USERS' });
  expect(server.requests).toHaveLength(1);
});

it.each<[string, Handler]>([
  ['asks for tokens', challenge('Bearer error="invalid_token"')],
  ['asks for either', challenge('Basic realm="x"', 'Bearer realm="y"')],
  ['does not say what it asks for', (_request, response) => void response.writeHead(401).end()],
  ['forbids it', (_request, response) => void response.writeHead(403).end()],
  ['fails', (_request, response) => void response.writeHead(500).end()],
])('one that %s may know them', async (_what, handle) => {
  const { server, users } = await checkOf(handle);
  await using _ = server;
  await expect(users!.check()).resolves.toBeUndefined();
});

it('one that answers anybody is used, and the start says so', async () => {
  const { server, users } = await checkOf((_request, response) => void response.end('[]'));
  await using _ = server;
  await expect(users!.check()).resolves.toBeUndefined();
  expect(await users!.look()).toMatchObject({ code: 'ARCHIVE_WITHOUT_USERS' });
});

it('is not asked where no user is', async () => {
  for (const env of [{}, { ...LOGIN, STAIN_DICOMWEB_USERS: 'unknown' }]) {
    const { server, users } = await checkOf(challenge('Basic'), env);
    await using _ = server;
    expect(users).toBeUndefined();
  }
});
