/** Access queries the archive with each user's token, and learns the archive's habits for all of them. */
import { expect, it } from 'vitest';
import { archiveAccess } from '../../server/src/auth/access.ts';
import { archiveCredentials } from '../../server/src/auth/archive-credentials.ts';
import type { Principal } from '../../server/src/auth/principal.ts';
import { type Handler, startFaultServer } from '../support/fault-server.ts';
import { parametersOf } from '../support/with-server.ts';

const credentials = archiveCredentials({ headers: {}, users: 'known', oauth: {} });
const user = (token: string) => ({ token }) as Principal;
const series = (seriesInstanceUid: string) => ({ studyInstanceUid: '1.2', seriesInstanceUid });
const results = ['1.3', '1.4'].map((uid) => ({ '0020000E': { vr: 'UI', Value: [uid] } }));

async function withAccess(
  handle: Handler,
  test: (access: ReturnType<typeof archiveAccess>, requests: readonly string[]) => Promise<void>,
): Promise<void> {
  await using server = await startFaultServer(handle);
  await test(archiveAccess(server.url, credentials), server.requests);
}

it('a habit met with the token of one user is not tried again with the token of the next', async () => {
  await withAccess(
    (request, response) =>
      void (request.headers.accept === 'application/json'
        ? response.end(JSON.stringify(results))
        : response.writeHead(406).end()),
    async (access, requests) => {
      expect(await access.canRead(user('first'), series('1.3'))).toBe(true);
      expect(await access.canRead(user('second'), series('1.4'))).toBe(true);
      expect(requests).toHaveLength(3);
    },
  );
});

it('an archive that does not filter by Series Instance UID shows each user what that user may see', async () => {
  await withAccess(
    (request, response) => {
      const limit = Number(parametersOf(request.url).get('limit') ?? 100);
      response.end(JSON.stringify(results.slice(0, limit)));
    },
    async (access) => {
      expect(await access.canRead(user('any'), series('1.4'))).toBe(true);
      expect(await access.canRead(user('any'), series('1.5'))).toBe(false);
    },
  );
});

it('an archive that cannot answer does not count as a refusal of the user', async () => {
  await withAccess(
    (_, response) => void response.writeHead(406).end(),
    (access) =>
      expect(access.canRead(user('any'), series('1.4'))).rejects.toMatchObject({ code: 'ARCHIVE_LACKING' }),
  );
});
