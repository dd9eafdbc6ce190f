/** Two workers are killed and restarted repeatedly during a batch of ten slides on one PostgreSQL. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isFinal, type Job } from '../../core/src/contract/index.ts';
import { delay, isAny } from '../support/fault-proxy.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide, TINY } from './site.ts';

const SLIDES = 10;
const KILLS = 8;

describe.skipIf(postgresMissing !== undefined)(
  postgresMissing ? `ten slides (skipped: ${postgresMissing})` : 'ten slides',
  () => {
    let postgres: RunningPostgres;
    let site: Site;
    const slides: SiteSlide[] = [];

    beforeAll(async () => {
      postgres = await startPostgres();
      site = await Site.open({ databaseUrl: postgres.url, workers: 2 });
      for (let i = 0; i < SLIDES; i++)
        slides.push(await site.add(`slide ${i}`, i % 2 === 0 ? TINY : PYRAMID));
    });
    afterAll(async () => {
      await site?.[Symbol.asyncDispose]();
      await postgres?.[Symbol.asyncDispose]();
    });

    it(`are all correct in the end, and stored once each (seed ${seed})`, () =>
      recorded('two workers killed under ten slides', async () => {
        const random = randomFrom(`${seed} batch`);
        site.proxy.inject(isAny, delay(100));
        const jobs: Job[] = [];
        for (const slide of slides) jobs.push(await site.submit(slide));
        let kills = 0;
        let halves = 0;
        while (kills < KILLS && (await unfinished(jobs)) > 0) {
          await pause(500 + random() * 2500);
          const worker = site.workers[random() < 0.5 ? 0 : 1]!;
          await worker.kill();
          kills += 1;
          for (const slide of slides) halves += Number(await site.showsHalfPyramid(slide));
          await pause(random() * 1000);
          await worker.start();
        }
        const finding = { lost: 0, duplicated: 0, wrong: halves };
        const ended = await Promise.all(jobs.map(({ id }) => site.end(id)));
        for (const [i, slide] of slides.entries()) {
          const found = await site.findings(slide, ended[i]!);
          finding.lost += found.lost;
          finding.duplicated += found.duplicated;
          finding.wrong += found.wrong;
        }
        // Including the undisturbed ones.
        expect(await postgres.query(`SELECT count(*) FROM stain_normalization.job`)).toBe(String(2 * SLIDES));
        return { times: kills, finding };
      }));

    async function unfinished(jobs: readonly Job[]): Promise<number> {
      const now = await Promise.all(jobs.map(({ id }) => site.job(id)));
      return now.filter(({ state }) => !isFinal(state)).length;
    }
  },
);
