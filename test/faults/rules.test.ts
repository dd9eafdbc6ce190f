/** Slides arrive while the service is killed and its archive is away: each that matches has one result, or its reason. */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { answer, isAny, reset, startFaultProxy } from '../support/fault-proxy.ts';
import { startRulesSite, TODAY, wholeSlide } from '../support/rules-site.ts';
import { EMBEDDED } from './archives.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';

const TEMPLATE = 'he-pink-violet';
const RULES = [
  { name: 'stored', match: { StationName: 'STORE' }, template: TEMPLATE, outcome: 'store' },
  // Compared by their headers, which take requests of their own.
  { name: 'shown', match: { InstitutionalDepartmentName: 'Dermatology' }, template: TEMPLATE },
];
const STORED = 4;
const SHOWN = 2;
const KILLS = 5;

it(`rules miss nothing and make nothing twice (seed ${seed})`, () =>
  recorded('service killed, archive away, while slides arrive for rules', async () => {
    const random = randomFrom(`${seed} rules`);
    await using archive = await EMBEDDED.start();
    await using proxy = await startFaultProxy(archive.url);
    const slide = (name: string, station: string, department = 'Surgery', kind = {}) =>
      wholeSlide(`rules under faults ${name}`, [2, 3], {
        StudyDate: TODAY,
        StationName: station,
        InstitutionalDepartmentName: department,
        ...kind,
      });
    const old = await slide('old', 'STORE', 'Dermatology');
    await archive.put(old.files);
    await using site = await startRulesSite(proxy.url, RULES, {
      STAIN_RULES_POLL_SECONDS: '1',
      STAIN_SPOOL_CHECKPOINT_SECONDS: '0',
    });
    await expect.poll(async () => (await site.rules()).search.isSurveyed, { timeout: 60_000 }).toBe(true);

    const stored = await Promise.all(Array.from({ length: STORED }, (_, i) => slide(`stored ${i}`, 'STORE')));
    const shown = await Promise.all(
      Array.from({ length: SHOWN }, (_, i) => slide(`shown ${i}`, 'SHOW', 'Dermatology')),
    );
    const refusable = await slide('refused', 'STORE', 'Surgery', {
      BitsAllocated: 16,
      BitsStored: 12,
    });
    const other = await slide('other', 'OTHER');
    const arriving = [...stored, ...shown, refusable, other].map((one) => ({ one, at: random() }));
    arriving.sort((a, b) => a.at - b.at);

    let kills = 0;
    const disturb = async (): Promise<void> => {
      for (; kills < KILLS; kills++) {
        await pause(random() * 4000);
        proxy.inject(isAny, random() < 0.5 ? answer(503) : reset);
        await pause(random() * 2000);
        if (random() < 0.5) proxy.heal();
        await site.service.kill();
        // It gets ready only with its archive.
        proxy.heal();
        await site.service.start();
      }
    };
    const arrive = async (): Promise<void> => {
      for (const { one } of arriving) {
        await pause(random() * 3000);
        // The base level last: until then it is no slide.
        await archive.put([one.files[1]!]);
        await pause(random() * 2000);
        await archive.put([one.files[0]!]);
      }
    };
    await Promise.all([disturb(), arrive()]);
    // First, because a search may find that a slide has gained its second level since it was dealt with.
    await site.searched();
    await site.untilCounts('stored', { COMPLETED: STORED, REFUSED: 1 });
    await site.untilCounts('shown', { FITTED: SHOWN });

    const finding = { lost: 0, duplicated: 0, wrong: 0 };
    for (const one of stored) {
      const { length } = await site.derived(one);
      finding.lost += Number(length === 0);
      finding.duplicated += Math.max(0, length - 1);
    }
    for (const one of [old, other, refusable, ...shown]) finding.wrong += (await site.derived(one)).length;
    const refused = (await site.series('stored')).filter(({ state }) => state === 'REFUSED');
    expect(refused).toMatchObject([
      { seriesInstanceUid: refusable.seriesInstanceUid, code: 'PIXEL_FORMAT_UNSUPPORTED' },
    ]);
    // One at a time: a difference is then named within the first lines of a report.
    await site.untilCounts('stored', { COMPLETED: STORED, REFUSED: 1 });
    expect(await site.series('shown')).toHaveLength(SHOWN);
    await site.untilCounts('shown', { FITTED: SHOWN });
    return { times: kills, finding };
  }));
