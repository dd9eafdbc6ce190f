/**
 * The service is killed, at every stage and at any moment, and restarted: the job continues and stores the same bytes.
 */
import { open, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isFinal, type Job, STAGES } from '../../core/src/contract/index.ts';
import { isBrief } from '../support/brief.ts';
import { delay, isAny } from '../support/fault-proxy.ts';
import { ARCHIVES, EMBEDDED } from './archives.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide, TINY } from './site.ts';

/** Delay of each response of the archive, so that every stage lasts long enough to be hit. */
const STAGE_DELAY_MS = 150;
const RANDOM_DELAY_MS = 40;
/** Fewer than a job may have without progress. */
const MAX_KILLS_A_JOB = 4;
const RANDOM_KILLS = isBrief ? 4 : 14;
/** Archives only differ in what they store. */
const KILLED_OVER = isBrief ? [EMBEDDED] : ARCHIVES;

describe.each(KILLED_OVER.map((archive) => [archive.name, archive] as const))(
  'kill -9, with %s',
  (name, archive) => {
    describe.skipIf(archive.missing !== undefined)(
      archive.missing ? `skipped: ${archive.missing}` : 'in front',
      () => {
        let site: Site;
        let pyramid: SiteSlide;
        let tiny: SiteSlide;

        beforeAll(async () => {
          site = await Site.open({ archive });
          pyramid = await site.add('pyramid', PYRAMID);
          tiny = await site.add('tiny', TINY);
        });
        afterAll(() => site?.[Symbol.asyncDispose]());
        afterEach(async () => {
          site.proxy.heal();
          await site.forget(pyramid);
          await site.forget(tiny);
        });

        /** @returns whether a viewer would have found an incomplete pyramid at that moment */
        async function kill(slide: SiteSlide): Promise<boolean> {
          await site.service.kill();
          const isHalf = await site.showsHalfPyramid(slide);
          await site.service.start();
          return isHalf;
        }

        async function findings(slide: SiteSlide, job: Job, halves: number) {
          const found = await site.findings(slide, await site.end(job.id));
          return { ...found, wrong: found.wrong + halves };
        }

        const slides: [string, () => SiteSlide][] = [
          ['a pyramid', () => pyramid],
          ['a slide of one level', () => tiny],
        ];
        // The archives only differ in what they store.
        it.each(archive === EMBEDDED ? slides : slides.slice(0, 1))(
          'at every stage of one job: %s',
          async (_what, slideOf) => {
            const slide = slideOf();
            site.proxy.inject(isAny, delay(STAGE_DELAY_MS));
            const job = await site.submit(slide);
            // The process that checked the request knows the slide, and opens it in no time; the next one reads again.
            await kill(slide);
            for (const stage of STAGES)
              await recorded(`kill -9 at stage ${stage}`, async () => {
                const seen = await site.see(job.id, ({ progress }) => progress?.stage === stage);
                expect(seen, `${stage} was not met`).toBeDefined();
                const halves = Number(await kill(slide));
                // The job is only checked after the last stage, when it has ended.
                const finding =
                  stage === STAGES.at(-1)
                    ? await findings(slide, job, halves)
                    : { lost: 0, duplicated: 0, wrong: halves };
                return { times: 1, finding };
              });
          },
        );

        it('stopped by SIGTERM at every stage of one job, and restarted', async () => {
          site.proxy.inject(isAny, delay(STAGE_DELAY_MS));
          const job = await site.submit(pyramid);
          await recorded('service stopped by SIGTERM', async () => {
            // The first process knows the slide from its check.
            let [times, codes] = [1, Number((await site.service.stop()) !== 0)];
            await site.service.start();
            for (const stage of STAGES) {
              if (!(await site.see(job.id, ({ progress }) => progress?.stage === stage))) break;
              codes += Number((await site.service.stop()) !== 0);
              times += 1;
              await site.service.start();
            }
            const finding = await site.findings(pyramid, await site.end(job.id));
            return { times, finding: { ...finding, wrong: finding.wrong + codes } };
          });
        });

        it(`with a spool that is damaged in between (seed ${seed})`, async () => {
          const random = randomFrom(`${seed} ${name} damage`);
          for (const stage of archive === EMBEDDED ? ['normalize', 'store', 'verify'] : ['store'])
            await recorded('kill -9, and a file of the spool damaged', async () => {
              await site.forget(pyramid);
              site.proxy.inject(isAny, delay(STAGE_DELAY_MS));
              const job = await site.submit(pyramid);
              expect(await site.see(job.id, ({ progress }) => progress?.stage === stage)).toBeDefined();
              if (stage === 'normalize') await pause(random() * 1000);
              await site.service.kill();
              await damageOne(site.spool, random);
              await site.service.start();
              return { times: 1, finding: await findings(pyramid, job, 0) };
            });
        });

        it(`at random moments (seed ${seed})`, async () => {
          const random = randomFrom(`${seed} ${name}`);
          site.proxy.inject(isAny, delay(RANDOM_DELAY_MS));
          for (let left = RANDOM_KILLS; left > 0; )
            await recorded('kill -9 at a random moment', async () => {
              const slide = random() < 0.7 ? pyramid : tiny;
              await site.forget(slide);
              const job = await site.submit(slide);
              let [times, halves] = [0, 0];
              do {
                await pause(random() * (slide === pyramid ? 2500 : 400));
                halves += Number(await kill(slide));
                times += 1;
              } while (times < Math.min(left, MAX_KILLS_A_JOB) && !isFinal((await site.job(job.id)).state));
              left -= times;
              return { times, finding: await findings(slide, job, halves) };
            });
        });
      },
    );
  },
);

/** Truncates, changes or removes one file of a job, as a crash of the disk may do. */
async function damageOne(spool: string, random: () => number): Promise<void> {
  const names = (await readdir(spool, { recursive: true, withFileTypes: true })).filter((entry) =>
    entry.isFile(),
  );
  const { parentPath, name } = names[Math.floor(random() * names.length)]!;
  const path = join(parentPath, name);
  const { size } = await stat(path);
  const how = random();
  if (how < 0.3) await rm(path);
  else if (how < 0.6) await truncate(path, Math.floor(random() * size));
  else {
    await using file = await open(path, 'r+');
    await file.write(Uint8Array.of(random() * 256), 0, 1, Math.floor(random() * size));
  }
}
