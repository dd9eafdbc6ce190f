/**
 * A worker's clock jumps by an hour while it works, forward and back: it keeps its job, and the result stays the same.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { delay, isAny } from '../support/fault-proxy.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

const LIBRARY = readdirSync('/usr/lib')
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

const missing = postgresMissing ?? (LIBRARY ? undefined : 'no faketime');
if (missing && process.env.CI) throw new Error(`${missing}; .ci/run installs it`);

describe.skipIf(missing !== undefined)(
  missing ? `a clock that jumps (skipped: ${missing})` : 'a clock that jumps',
  () => {
    let folder: string;
    let clock: string;
    let postgres: RunningPostgres;
    let site: Site;
    let pyramid: SiteSlide;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'faults-clock-'));
      clock = join(folder, 'clock');
      await writeFile(clock, '+0\n');
      postgres = await startPostgres();
      site = await Site.open({
        databaseUrl: postgres.url,
        workers: 1,
        workerEnvironment: {
          LD_PRELOAD: LIBRARY!,
          FAKETIME_TIMESTAMP_FILE: clock,
          FAKETIME_NO_CACHE: '1',
          // As when a clock is set: monotonic time continues.
          FAKETIME_DONT_FAKE_MONOTONIC: '1',
        },
      });
      pyramid = await site.add('pyramid', PYRAMID);
    });
    afterAll(async () => {
      await site?.[Symbol.asyncDispose]();
      await postgres?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    });

    it.each([
      ['forward', '+1h', '+0'],
      ['back', '-1h', '+0'],
      ['forward and back again while one job runs', '+1h', '-1h'],
    ])('%s', (_way, first, then) =>
      recorded('clock of a worker jumps by an hour', async () => {
        await site.forget(pyramid);
        site.proxy.inject(isAny, delay(100));
        const { id, createdAt } = await site.submit(pyramid);
        await site.see(id, ({ progress }) => progress?.stage === 'fetch' || progress?.stage === 'fit');
        await writeFile(clock, `${first}\n`);
        await pause(1000);
        await writeFile(clock, `${then}\n`);
        const job = await site.end(id);
        site.proxy.heal();
        await writeFile(clock, '+0\n');
        // One attempt: the first part of a revision counts the attempts.
        expect(job.revision.split('-')[0]).toBe('1');
        expect(Math.abs(Date.parse(job.endedAt!) - Date.parse(createdAt))).toBeLessThan(60_000);
        return { times: 2, finding: await site.findings(pyramid, job) };
      }),
    );
  },
);
