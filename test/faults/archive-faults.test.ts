/**
 * An archive that fails for a while, in every way that it can: the job still stores its series, once, with the same
 * bytes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import {
  answer,
  type Fault,
  isAny,
  isInstance,
  isStore,
  loseAnswer,
  type Matcher,
  refuseStore,
  reset,
  resetAfter,
  slow,
  storeAsDuplicate,
  storeNothing,
  truncateInstance,
} from '../support/fault-proxy.ts';
import { ARCHIVES } from './archives.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';
import { PYRAMID, Site, type SiteSlide, TWO_LEVELS } from './site.ts';

const OUT_OF_RESOURCES = 0xa700;
const DUPLICATE = 0x0111;
const PROCESSING_FAILURE = 0x0110;

/** Failures that the same attempt, or the next one, overcomes by itself. */
const PASSING: readonly (readonly [string, Matcher, Fault, number])[] = [
  ['connection reset while fetching', isInstance, reset, 2],
  ['connection reset half-way through an instance', isInstance, resetAfter(30_000), 3],
  ['connection reset before a store', isStore, reset, 2],
  ['connection reset after a store, answer lost', isStore, loseAnswer, 2],
  ['429 with Retry-After', isAny, answer(429, { 'retry-after': '1' }), 3],
  ['503 with Retry-After', isAny, answer(503, { 'retry-after': '1' }), 3],
  ['503 to stores', isStore, answer(503), 2],
  ['202: out of resources', isStore, refuseStore(202, OUT_OF_RESOURCES), 2],
  ['202: processing failure of one level', isStore, refuseStore(202, PROCESSING_FAILURE), 1],
  ['409: stored, reported as duplicate', isStore, storeAsDuplicate, 2],
  ['502 to more requests than are retried', isInstance, answer(502), 5],
];

/** Failures that do not look transient: the job fails with a code, and the same request completes the series. */
const PERMANENT: readonly (readonly [string, Matcher, Fault, RegExp])[] = [
  ['200 with nothing stored', isStore, storeNothing, /^STORE_UNVERIFIED$/],
  ['200 with nothing stored, empty data set', isStore, answer(200, {}, {}), /^STORE_UNVERIFIED$/],
  ['409: duplicate of no instance', isStore, refuseStore(409, DUPLICATE), /^STORE_REJECTED$/],
  ['instance cut off in its frames', isInstance, truncateInstance, /^DICOM_INVALID$/],
];

describe.each(ARCHIVES.map((archive) => [archive.name, archive] as const))(
  '%s that fails',
  (name, archive) => {
    describe.skipIf(archive.missing !== undefined)(
      archive.missing ? `skipped: ${archive.missing}` : 'for a while',
      () => {
        let site: Site;
        let pyramid: SiteSlide;
        let small: SiteSlide;

        beforeAll(async () => {
          site = await Site.open({ archive });
          pyramid = await site.add('pyramid', PYRAMID);
          small = await site.add('small', TWO_LEVELS);
        });
        afterAll(() => site?.[Symbol.asyncDispose]());
        afterEach(async () => {
          site.proxy.heal();
          await site.forget(pyramid);
          await site.forget(small);
        });

        it.each(PASSING)('%s', (fault, matches, cause, times) =>
          recorded(fault, async () => {
            const injection = site.proxy.inject(matches, cause, times);
            const { id } = await site.submit(small);
            const finding = await site.findings(small, await site.end(id));
            return { times: injection.met, finding };
          }),
        );

        it.each(PERMANENT)('%s', (fault, matches, cause, code) =>
          recorded(fault, async () => {
            // At the second request, so that part of the series is already stored or fetched.
            const injection = site.proxy.inject(second(matches), cause);
            const first = await site.submit(small);
            const failed = await site.end(first.id);
            expect(failed.error?.code).toMatch(code);
            expectToldInPart(failed, await site.storedInstances(small));
            const isHalf = await site.showsHalfPyramid(small);
            site.proxy.heal();
            const again = await site.submit(small);
            const finding = await site.findings(small, await site.end(again.id));
            return { times: injection.met, finding: { ...finding, wrong: finding.wrong + Number(isHalf) } };
          }),
        );

        it('resets of any connection', () =>
          recorded('connection resets at random', async () => {
            const random = randomFrom(`${seed} ${name} resets`);
            // Ensures that it happens at least once.
            let asked = 0;
            const injection = site.proxy.inject(() => asked++ === 0 || random() < 0.3, reset, 12);
            const { id } = await untilAccepted(() => site.submit(small));
            const finding = await site.findings(small, await site.end(id));
            return { times: injection.met, finding };
          }));

        it('slow', () =>
          recorded('slow archive', async () => {
            const injection = site.proxy.inject(isAny, slow(80_000));
            const { id } = await site.submit(small);
            const finding = await site.findings(small, await site.end(id));
            return { times: injection.met, finding };
          }));

        it('away while a job runs: the job waits, says for what, and continues', () =>
          recorded('archive away', async () => {
            site.proxy.inject(isInstance, slow(400_000));
            const { id } = await site.submit(pyramid);
            await site.see(id, ({ progress }) => progress?.stage === 'fetch');
            await site.proxy.goAway();
            const waiting = await site.see(id, (job) => job.waiting !== null);
            expect(waiting).toMatchObject({ state: 'SCHEDULED', waiting: { code: 'ARCHIVE_UNREACHABLE' } });
            // The job tries again meanwhile.
            await pause(8000);
            expect((await site.job(id)).state).not.toBe('FAILED');
            await site.proxy.comeBack();
            site.proxy.heal();
            return { times: 1, finding: await site.findings(pyramid, await site.end(id)) };
          }));
      },
    );
  },
);

/** Every matching request except the first. */
function second(matches: Matcher): Matcher {
  let seen = 0;
  return (request) => matches(request) && ++seen > 1;
}

/** A failed job says so if part of its series is in the archive. */
function expectToldInPart(job: Job, stored: readonly string[]): void {
  expect(job.stored?.instances ?? 0).toBe(stored.length);
}

async function untilAccepted<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++)
    try {
      return await ask();
    } catch (error) {
      if (tries > 10) throw error;
    }
}
