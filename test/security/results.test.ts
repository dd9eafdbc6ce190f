/** Attack: a user without the scope rejects the results of others, or learns what there is. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AuditEntry } from '../../server/src/audit/audit-event.ts';
import { openLogin } from '../../server/src/auth/login.ts';
import { loadConfig } from '../../server/src/config.ts';
import { AUDIENCE, startIssuer } from '../support/issuer.ts';
import { NO_BATCHES, NO_JOBS, startApp, type TestApp } from '../support/test-app.ts';

const open = new AsyncDisposableStack();
const audit: AuditEntry[] = [];
const calls: string[] = [];
const tokens: Record<string, string> = {};
let service: TestApp;

beforeAll(async () => {
  const issuer = open.use(await startIssuer(['alice', 'admin']));
  const config = loadConfig({ env: { STAIN_OIDC_ISSUER: issuer.url, STAIN_OIDC_AUDIENCE: AUDIENCE } });
  const called =
    <T>(name: string, answer: T) =>
    async () => {
      calls.push(name);
      return answer;
    };
  service = open.use(
    await startApp(NO_JOBS, {
      batches: NO_BATCHES,
      config,
      login: openLogin(config),
      audit: { record: (entry) => void audit.push(entry) },
      results: {
        list: called('list', { results: [], next: null }),
        check: called('check', []),
        reject: called('reject', {} as never),
        remake: called('remake', {} as never),
      },
    }),
  );
  tokens['alice'] = await issuer.token('alice', 'stain.read stain.normalize');
  tokens['admin'] = await issuer.token('admin', 'stain.administer');
});
afterAll(() => open.disposeAsync());

const ROUTES = [
  ['GET', ''],
  ['POST', '/check'],
  ['POST', '/2.25.7/reject'],
  ['POST', '/2.25.7/remake'],
] as const;

function ask(user: string, method: string, path: string): Promise<Response> {
  const body =
    method === 'POST' ? JSON.stringify(path === '/check' ? { studyInstanceUid: '1.2' } : {}) : null;
  const headers = { Authorization: `Bearer ${tokens[user]}`, 'Content-Type': 'application/json' };
  return fetch(`${service.url}/api/results${path}`, { method, headers, body });
}

it.each(ROUTES)('%s /api/results%s needs the scope of administrators', async (method, path) => {
  expect((await ask('alice', method, path)).status).toBe(403);
  expect(calls).toEqual([]);
  expect((await ask('admin', method, path)).ok).toBe(true);
  expect(calls.splice(0)).toHaveLength(1);
});

it('a rejection is in the audit trail, with who and what', async () => {
  audit.length = 0;
  await (await ask('admin', 'POST', '/2.25.7/reject')).text();
  await expect
    .poll(() => audit)
    .toMatchObject([
      {
        event: 'result-rejected',
        outcome: 'success',
        principal: expect.stringMatching(/#admin$/),
        seriesInstanceUid: '2.25.7',
      },
    ]);
});
