/** The routes of stored results, over a service that the test makes up. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { resultPage, type StoredResult } from '../../core/src/contract/index.ts';
import { StainError } from '../../core/src/errors.ts';
import type { ResultRoutesOptions } from '../../server/src/http/result-routes.ts';
import { NO_BATCHES, NO_JOBS, startApp, type TestApp } from '../support/test-app.ts';

const RESULT: StoredResult = {
  studyInstanceUid: '1.2',
  seriesInstanceUid: '2.25.7',
  source: { studyInstanceUid: '1.2', seriesInstanceUid: '1.2.3' },
  state: 'DIFFERS',
  differs: ['PatientID'],
  missingArchives: [],
  reason: null,
  replacement: null,
  storedAt: '2026-11-26T12:00:00.000Z',
  checkedAt: null,
  expiresAt: null,
};

let app: TestApp;
const asked: unknown[] = [];

const results: ResultRoutesOptions['results'] = {
  async list(query) {
    asked.push(query);
    return { results: [RESULT], next: null };
  },
  async check(study) {
    asked.push(study);
    return [RESULT];
  },
  async reject(series, reason) {
    if (series !== RESULT.seriesInstanceUid) throw new StainError('RESULT_NOT_FOUND', 'There is none.');
    asked.push(reason);
    return RESULT;
  },
  remake: async () => RESULT,
};

beforeAll(async () => {
  app = await startApp(NO_JOBS, { batches: NO_BATCHES, results });
});
afterAll(() => app[Symbol.asyncDispose]());

const post = (path: string, body?: unknown) =>
  fetch(`${app.url}/api/results${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body ?? {}),
  });

it('lists them by state', async () => {
  const answer = await fetch(`${app.url}/api/results?state=DIFFERS&limit=5`);
  expect(resultPage.parse(await answer.json()).results).toEqual([RESULT]);
  expect(asked.pop()).toEqual({ state: 'DIFFERS', limit: 5 });
  expect((await fetch(`${app.url}/api/results?state=LOST`)).status).toBe(400);
});

it('checks, rejects and makes again', async () => {
  expect(await (await post('/check', { studyInstanceUid: '1.2' })).json()).toEqual([RESULT]);
  expect(asked.pop()).toBe('1.2');
  expect((await post('/check')).status).toBe(400);
  expect((await post('/2.25.7/reject')).status).toBe(200);
  expect(asked.pop()).toBe('quality');
  expect((await post('/2.25.7/reject', { reason: 'boredom' })).status).toBe(400);
  const unknown = await post('/2.25.8/reject');
  expect([unknown.status, await unknown.json()]).toMatchObject([404, { code: 'RESULT_NOT_FOUND' }]);
  expect((await post('/x/reject')).status).toBe(400);
  expect((await post('/2.25.7/remake')).status).toBe(202);
});
