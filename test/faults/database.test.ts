/** The database server is restarted while jobs run, both in order and as by a crash. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

const RESTARTS_A_JOB = 2;
const AWAY_MS = 1500;
/** Time until the ticket of a finished job is gone, including a missed heartbeat. */
const TICKETS_MS = 90_000;

describe.skipIf(postgresMissing !== undefined)(
  postgresMissing ? `the database (skipped: ${postgresMissing})` : 'the database',
  () => {
    let postgres: RunningPostgres;
    let site: Site;
    let pyramid: SiteSlide;

    beforeAll(async () => {
      postgres = await startPostgres();
      site = await Site.open({ databaseUrl: postgres.url, workers: 1 });
      pyramid = await site.add('pyramid', PYRAMID);
    });
    afterAll(async () => {
      await site?.[Symbol.asyncDispose]();
      await postgres?.[Symbol.asyncDispose]();
    });

    it.each(['fast', 'immediate'] as const)(
      `restarted in the middle, shutdown %s (seed ${seed})`,
      async (mode) => {
        const random = randomFrom(`${seed} database ${mode}`);
        for (let trial = 0; trial < 2; trial++)
          await recorded(`database restarted, shutdown ${mode}`, async () => {
            await site.forget(pyramid);
            const { id } = await site.submit(pyramid);
            for (let restart = 0; restart < RESTARTS_A_JOB; restart++) {
              await pause(random() * 2000);
              await postgres.stop(mode);
              await pause(AWAY_MS);
              await postgres.start();
            }
            const finding = await site.findings(pyramid, await site.end(id));
            expect(site.service.isRunning && site.workers.every(({ isRunning }) => isRunning)).toBe(true);
            // A ticket is removed after its job has ended.
            await vi.waitFor(
              async () => {
                const tickets = await postgres.query(
                  `SELECT count(*) FROM pgboss.job WHERE state IN ('created', 'retry', 'active')`,
                );
                expect(Number(tickets)).toBe(0);
              },
              { timeout: TICKETS_MS, interval: 250 },
            );
            return { times: RESTARTS_A_JOB, finding };
          });
      },
    );
  },
);
