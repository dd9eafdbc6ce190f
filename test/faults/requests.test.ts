/** What clients do at the wrong moment: simultaneous equal requests, and cancellation at every stage. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { isFinal, STAGES } from '../../core/src/contract/index.ts';
import { delay, isAny, isStore } from '../support/fault-proxy.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

const STAGE_DELAY_MS = 200;
/** A cancellation takes a second or two; a busy machine may need longer. */
const CANCEL_LIMIT_MS = 10_000;
/** How long the test watches for instances that are stored after a cancellation. */
const AFTERMATH_MS = 2000;

let site: Site;
let pyramid: SiteSlide;

beforeAll(async () => {
  site = await Site.open();
  pyramid = await site.add('pyramid', PYRAMID);
});
afterAll(() => site?.[Symbol.asyncDispose]());
afterEach(async () => {
  site.proxy.heal();
  await site.forget(pyramid);
});

it('the same request from several clients at the same moment is one job', () =>
  recorded('same request at the same moment', async () => {
    const asked = await Promise.all(Array.from({ length: 5 }, () => site.submit(pyramid)));
    const jobs = new Set(asked.map(({ id }) => id));
    const finding = await site.findings(pyramid, await site.end(asked[0]!.id));
    // Requested again after it is done, it is still the same job.
    jobs.add((await site.submit(pyramid)).id);
    return { times: asked.length, finding: { ...finding, duplicated: finding.duplicated + jobs.size - 1 } };
  }));

it('cancelling a job that waits for its archive says what the archive has stored', () =>
  recorded('cancel while waiting', async () => {
    site.proxy.inject(isStore, delay(STAGE_DELAY_MS));
    const { id } = await site.submit(pyramid);
    await site.see(id, ({ stored }) => stored?.instances === 2);
    await site.proxy.goAway();
    await site.see(id, ({ waiting }) => waiting !== null);
    const job = await site.cancel(id);
    expect(job.state).toBe('CANCELED');
    expect(job.stored?.instances).toBe((await site.storedInstances(pyramid)).length);
    const left = await site.leftInSpool();
    await site.proxy.comeBack();
    site.proxy.heal();
    const again = await site.submit(pyramid);
    const finding = await site.findings(pyramid, await site.end(again.id));
    return { times: 1, finding: { ...finding, wrong: finding.wrong + left.length } };
  }));

it.each(STAGES)('cancelling at stage %s stops the job, cleans up and stores nothing more', (stage) =>
  recorded(`cancel at stage ${stage}`, async () => {
    site.proxy.inject(isAny, delay(STAGE_DELAY_MS));
    const { id } = await site.submit(pyramid);
    if (stage === 'open') {
      // The process that checked the request knows the slide, and opens it in no time; the next one reads again.
      await site.service.kill();
      await site.service.start();
    }
    expect(await site.see(id, ({ progress }) => progress?.stage === stage)).toBeDefined();
    const asked = performance.now();
    await site.cancel(id);
    const job = await site.see(id, ({ state }) => isFinal(state));
    const seconds = (performance.now() - asked) / 1000;
    console.log(`cancelled at stage ${stage}: ${seconds.toFixed(2)} s`);
    expect(job!.state).toBe('CANCELED');
    expect(seconds).toBeLessThan(CANCEL_LIMIT_MS / 1000);
    const left = await site.leftInSpool();
    const stored = await site.storedInstances(pyramid);
    await pause(AFTERMATH_MS);
    const later = await site.storedInstances(pyramid);
    // Whatever the archive had stored before stays there, and is reported.
    expect(job!.stored?.instances ?? 0).toBe(stored.length);
    const isHalf = await site.showsHalfPyramid(pyramid);
    // The same request still makes the same series.
    site.proxy.heal();
    const again = await site.submit(pyramid);
    const finding = await site.findings(pyramid, await site.end(again.id));
    const wrong = finding.wrong + left.length + (later.length - stored.length) + Number(isHalf);
    return { times: 1, finding: { ...finding, wrong } };
  }),
);
