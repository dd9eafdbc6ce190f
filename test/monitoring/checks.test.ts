import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { spoolCheck } from '../../server/src/monitoring/checks.ts';
import { openJobSpool } from '../../server/src/spool/spool.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stain-checks-'));
});
afterAll(() => rm(directory, { recursive: true }));

const identity = {
  seriesUuid: '0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f11',
  createdAt: '2026-01-01T00:00:00.000Z',
};

it('a process whose spool is filled by its own slides is ready, so that an orchestrator does not remove it', async () => {
  const spool = { directory, quotaBytes: 1000, minFreeBytes: 500 };
  const job = await openJobSpool(spool, identity);
  await job.reserve({ minimum: 0, likely: 900 });
  await spoolCheck(spool)();
  await job.putDown('resting');
});

it('a process whose spool is too small, or full of other files, is not ready', async () => {
  const spool = { directory, quotaBytes: 1000, minFreeBytes: 1001 };
  await expect(spoolCheck(spool)()).rejects.toMatchObject({ code: 'SPOOL_FULL' });
  await expect(spoolCheck({ directory, minFreeBytes: Number.MAX_SAFE_INTEGER })()).rejects.toMatchObject({
    code: 'SPOOL_FULL',
  });
});
