/** What the log says of requests, and what it leaves out. */
import { expect, it } from 'vitest';
import { StainError } from '../../core/src/errors.ts';
import { createLogger } from '../../server/src/http/log.ts';
import { NO_BATCHES, NO_JOBS, startApp } from '../support/test-app.ts';

it('probes and scrapes are logged at level debug, unless they fail', async () => {
  const lines: { level: number; route: string; status: number }[] = [];
  const log = createLogger({
    level: 'debug',
    destination: { write: (line) => void lines.push(JSON.parse(line)) },
  });
  const checks = {
    archive: async () => {
      throw new StainError('ARCHIVE_UNREACHABLE', 'away');
    },
  };
  await using app = await startApp(NO_JOBS, { batches: NO_BATCHES, checks, log });
  for (const path of ['/health', '/metrics', '/ready', '/api/normalizations'])
    await (await fetch(app.url + path)).text();
  await expect.poll(() => lines.length).toBe(4);
  expect(lines.map(({ level, route, status }) => ({ level, route, status }))).toEqual([
    { level: 20, route: '/health', status: 200 },
    { level: 20, route: '/metrics', status: 200 },
    { level: 30, route: '/ready', status: 503 },
    { level: 30, route: '/api/normalizations', status: 200 },
  ]);
});
