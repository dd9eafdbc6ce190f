/** An archive that is killed while it receives, and one that stays down. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { isFinal } from '../../core/src/contract/index.ts';
import { answer, delay, isAny, isStore, slow } from '../support/fault-proxy.ts';
import { startArchiveProcess } from './archives.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

const KILLS = 4;

let archive: Awaited<ReturnType<typeof startArchiveProcess>>;
let site: Site;
let pyramid: SiteSlide;

function openSite(environment: Record<string, string>): void {
  beforeAll(async () => {
    const start = async () => {
      archive = await startArchiveProcess();
      return archive;
    };
    const kind = { name: 'the embedded archive as a process', missing: undefined, start };
    site = await Site.open({ archive: kind, environment });
    pyramid = await site.add('pyramid', PYRAMID);
  });
  afterAll(() => site?.[Symbol.asyncDispose]());
  afterEach(() => site.forget(pyramid));
}

describe('an archive', () => {
  openSite({});

  it(`is killed while it receives and at random moments (seed ${seed})`, () =>
    recorded('archive killed -9', async () => {
      const random = randomFrom(`${seed} archive`);
      site.proxy.inject(isAny, delay(50));
      site.proxy.inject(isStore, slow(200_000));
      const { id } = await site.submit(pyramid);
      let kills = 0;
      let halves = 0;
      for (; kills < KILLS && !isFinal((await site.job(id)).state); kills++) {
        // The last kills come while it receives.
        if (kills >= KILLS / 2) await site.see(id, ({ progress }) => progress?.stage === 'store');
        await pause(random() * 1500);
        await archive.kill();
        await pause(random() * 1000);
        await archive.start();
        halves += Number(await site.showsHalfPyramid(pyramid));
      }
      site.proxy.heal();
      const finding = await site.findings(pyramid, await site.end(id));
      return { times: kills, finding: { ...finding, wrong: finding.wrong + halves } };
    }));
});

describe('an archive that', () => {
  // Ten seconds instead of a day.
  openSite({ STAIN_JOBS_RETRY_HOURS: '0.003' });

  it.each([
    [
      'is away',
      (): unknown => archive.kill(),
      (): unknown => archive.start(),
      /^ARCHIVE_(UNREACHABLE|TRUNCATED)$/,
    ],
    [
      'takes nothing',
      (): unknown => site.proxy.inject(isStore, answer(503)),
      (): unknown => site.proxy.heal(),
      /^ARCHIVE_ERROR$/,
    ],
  ] satisfies [string, () => unknown, () => unknown, RegExp][])(
    '%s for longer than a job waits: the job fails, and the same request completes the series',
    (what, fail, mend, code) =>
      recorded(`archive ${what} for good`, async () => {
        site.proxy.inject(isStore, delay(500));
        const { id } = await site.submit(pyramid);
        // Part of the series is there.
        await site.see(id, ({ stored }) => stored?.instances === 1);
        await fail();
        const failed = await site.end(id);
        await mend();
        expect(failed).toMatchObject({ state: 'FAILED', error: { code: expect.stringMatching(code) } });
        const stored = await site.storedInstances(pyramid);
        expect(stored).not.toEqual([]);
        expect(failed.stored?.instances).toBe(stored.length);
        const isHalf = await site.showsHalfPyramid(pyramid);
        const again = await site.submit(pyramid);
        const finding = await site.findings(pyramid, await site.end(again.id));
        return { times: 1, finding: { ...finding, wrong: finding.wrong + Number(isHalf) } };
      }),
  );
});
