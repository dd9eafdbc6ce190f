/** What clients do at the wrong moment: the same request twice at once, and cancels at every stage. */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { isFinal } from '../../server/src/contract/index.ts';
import { STAGES } from '../../server/src/normalization/types.ts';
import { delay, isAny, isStore } from '../support/fault-proxy.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide } from './site.ts';

const STAGE_DELAY_MS = 200;
/** A cancel takes a second or two; a busy machine is no failure. */
const CANCEL_LIMIT_MS = 10_000;
/** How long it is looked whether something is stored after a cancel. */
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
    // Asked for again when it is done, it is still that job.
    jobs.add((await site.submit(pyramid)).id);
    return { times: asked.length, finding: { ...finding, duplicated: finding.duplicated + jobs.size - 1 } };
  }));

it('a cancel while a job waits for its archive tells what the archive has taken', () =>
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

it.each(STAGES)('a cancel at stage %s stops the job, tidies up and stores nothing more', (stage) =>
  recorded(`cancel at stage ${stage}`, async () => {
    site.proxy.inject(isAny, delay(STAGE_DELAY_MS));
    const { id } = await site.submit(pyramid);
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
    // What the archive had taken before stays there, and is told.
    expect(job!.stored?.instances ?? 0).toBe(stored.length);
    const isHalf = await site.showsHalfPyramid(pyramid);
    // The same request makes the same series after all.
    site.proxy.heal();
    const again = await site.submit(pyramid);
    const finding = await site.findings(pyramid, await site.end(again.id));
    const wrong = finding.wrong + left.length + (later.length - stored.length) + Number(isHalf);
    return { times: 1, finding: { ...finding, wrong } };
  }),
);
