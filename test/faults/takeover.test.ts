/** Workers that wake after their job was taken over, and a host that loses power. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { delay, isAny } from '../support/fault-proxy.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import type { ServiceProcess } from '../support/service-process.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

describe.skipIf(postgresMissing !== undefined)(
  postgresMissing ? `two workers (skipped: ${postgresMissing})` : 'two workers',
  () => {
    let postgres: RunningPostgres;
    let site: Site;
    let pyramid: SiteSlide;

    beforeAll(async () => {
      postgres = await startPostgres();
      site = await Site.open({ databaseUrl: postgres.url, workers: 2 });
      pyramid = await site.add('pyramid', PYRAMID);
    });
    afterAll(async () => {
      await site?.[Symbol.asyncDispose]();
      await postgres?.[Symbol.asyncDispose]();
    });
    afterEach(async () => {
      site.proxy.heal();
      await site.forget(pyramid);
    });

    it.each(['normalize', 'store'])(
      'one that hangs at stage %s and wakes when another has its job',
      (stage) =>
        recorded('worker hangs until its job is taken over, then wakes', async () => {
          // The record of a job that runs elsewhere is a second behind.
          site.proxy.inject(isAny, delay(700));
          const { id } = await site.submit(pyramid);
          await site.see(id, ({ progress }) => progress?.stage === stage);
          const [first, second] = site.workers as [ServiceProcess, ServiceProcess];
          // It is unknown which of the two runs the job: one is stopped, then the other.
          first.freeze();
          const before = (await site.job(id)).revision;
          await pause(2500);
          const isOfFirst = (await site.job(id)).revision === before;
          if (!isOfFirst) {
            second.freeze();
            first.thaw();
          }
          const taken = await site.see(id, ({ revision }) => revision.split('-')[0] === '2');
          expect(taken).toBeDefined();
          (isOfFirst ? first : second).thaw();
          site.proxy.heal();
          const finding = await site.findings(pyramid, await site.end(id));
          // Time for the worker that woke to do damage.
          await pause(3000);
          const later = await site.findings(pyramid, await site.job(id));
          expect(site.workers.every(({ isRunning }) => isRunning)).toBe(true);
          return {
            times: 1,
            finding: {
              lost: Math.max(finding.lost, later.lost),
              duplicated: Math.max(finding.duplicated, later.duplicated),
              wrong: Math.max(finding.wrong, later.wrong),
            },
          };
        }),
    );

    it('on a host that loses its power: service, workers and database at once', () =>
      recorded('host restarted', async () => {
        site.proxy.inject(isAny, delay(200));
        const { id } = await site.submit(pyramid);
        await site.see(id, ({ progress }) => progress?.stage === 'normalize');
        const processes = [site.service, ...site.workers];
        await Promise.all([postgres.stop('immediate'), ...processes.map((one) => one.kill())]);
        await postgres.start();
        await Promise.all(processes.map((one) => one.start()));
        site.proxy.heal();
        return { times: 1, finding: await site.findings(pyramid, await site.end(id)) };
      }));
  },
);
