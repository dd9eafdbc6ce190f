/**
 * A day in fast motion: slides arrive at random moments at a real Orthanc, some in parts, some not H&E, some damaged; two rules,
 * three workers on PostgreSQL; workers are killed, the database restarts, the archive is away. In the end every slide that matches
 * has exactly one right result, or its reason.
 *
 * STAIN_DAY_SLIDES sets the number of slides (default 20).
 */
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { brown } from '../support/brown.ts';
import { answer, isAny, reset, startFaultProxy } from '../support/fault-proxy.ts';
import { postgresMissing, startPostgres } from '../support/postgres.ts';
import { startRulesSite, TODAY, wholeSlide } from '../support/rules-site.ts';
import { startProcess } from '../support/service-process.ts';
import { storableSlide } from '../support/storable.ts';
import { tissueSlide } from '../support/tissue-slide.ts';
import { ARCHIVES } from './archives.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';

const TEMPLATE = 'he-violet';
const RULES = [
  { name: 'stored', match: { StationName: 'STORE-*' }, template: TEMPLATE, outcome: 'store' },
  { name: 'shown', match: { StationName: 'SHOW-*' }, template: TEMPLATE },
];
const SLIDES = Number(process.env.STAIN_DAY_SLIDES ?? 20);
const WORKERS = 3;
/** Between two slides, on average. */
const ARRIVAL_MS = 1500;
const END_MS = 60_000 + SLIDES * 20_000;

/** What becomes of a slide. */
type Fate = 'stored' | 'shown' | 'not H&E' | 'damaged' | 'left alone';
const FATES: readonly Fate[] = [
  ...Array<Fate>(5).fill('stored'),
  ...Array<Fate>(2).fill('shown'),
  'not H&E',
  'damaged',
  'left alone',
];

interface Arriving {
  readonly fate: Fate;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /** The base level last. */
  readonly files: readonly Uint8Array[];
}

async function slideOf(number: number, fate: Fate): Promise<Arriving> {
  const name = `day ${seed} ${number}`;
  const station = { stored: 'STORE-1', shown: 'SHOW-1', 'left alone': 'OTHER' }[fate as string] ?? 'STORE-2';
  const attributes = { StudyDate: TODAY, StationName: station };
  if (fate === 'not H&E' || fate === 'damaged') {
    const overrides = { ...attributes, Modality: 'SM' };
    const one =
      fate === 'damaged' ? storableSlide(name, { overrides }) : tissueSlide(name, { overrides }, brown);
    return { fate, studyInstanceUid: one.studyUid, seriesInstanceUid: one.seriesUid, files: [one.bytes] };
  }
  const { studyInstanceUid, seriesInstanceUid, files } = await wholeSlide(name, [2, 3], attributes);
  return { fate, studyInstanceUid, seriesInstanceUid, files: files.toReversed() };
}

const orthanc = ARCHIVES.find(({ name }) => name === 'Orthanc')!;
const missing = postgresMissing ?? orthanc.missing;

describe.skipIf(missing !== undefined)(missing ? `a day (skipped: ${missing})` : 'a day', () => {
  it(
    `of ${SLIDES} slides with faults ends with one result or one reason each (seed ${seed})`,
    { timeout: 2 * END_MS },
    () =>
      recorded(`a day of ${SLIDES} slides in fast motion: faults while they arrive`, async () => {
        const random = randomFrom(`${seed} day`);
        await using postgres = await startPostgres();
        await using archive = await orthanc.start();
        await using proxy = await startFaultProxy(archive.url);
        const shared = { STAIN_DATABASE_URL: postgres.url, STAIN_JOBS_HEARTBEAT_SECONDS: '10' };
        await using site = await startRulesSite(proxy.url, RULES, { ...shared, STAIN_JOBS_CONCURRENCY: '0' });
        await using resources = new AsyncDisposableStack();
        const workers = await Promise.all(
          Array.from({ length: WORKERS }, () =>
            startProcess('worker', { ...site.environment, STAIN_JOBS_CONCURRENCY: '1' }),
          ),
        );
        for (const worker of workers) resources.use(worker);
        await expect.poll(async () => (await site.rules()).search.isSurveyed, { timeout: 60_000 }).toBe(true);

        const slides: Arriving[] = [];
        for (let i = 0; i < SLIDES; i++) slides.push(await slideOf(i, FATES[i % FATES.length]!));
        const of = (fate: Fate): Arriving[] => slides.filter((one) => one.fate === fate);

        let isDay = true;
        const arrive = async (): Promise<void> => {
          const inOrder = slides.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at);
          for (const { one } of inOrder) {
            await pause(random() * 2 * ARRIVAL_MS);
            const isInParts = random() < 0.3;
            for (const file of one.files) {
              await archive.put([file]);
              if (isInParts) await pause(random() * 3000);
            }
          }
          isDay = false;
        };
        let faults = 0;
        const disturb = async (): Promise<void> => {
          for (; isDay; faults++) {
            await pause(1000 + random() * 5000);
            const kind = random();
            if (kind < 0.6) {
              const worker = workers[Math.floor(random() * WORKERS)]!;
              await worker.kill();
              await pause(random() * 2000);
              await worker.start();
            } else if (kind < 0.85) {
              proxy.inject(isAny, random() < 0.5 ? answer(503) : reset);
              await pause(random() * 4000);
              proxy.heal();
            } else {
              await postgres.stop('immediate');
              await pause(random() * 1500);
              await postgres.start();
            }
          }
        };
        // What a person asks for meanwhile: never refused for the work of the rules, however long it takes.
        const waits: number[] = [];
        const look = async (): Promise<void> => {
          while (isDay) {
            const start = performance.now();
            // The database may be away for a moment.
            const response = await fetch(`${site.service.url}/api/normalizations?limit=20`);
            await response.arrayBuffer();
            expect([200, 503]).toContain(response.status);
            if (response.ok) waits.push(performance.now() - start);
            await pause(250);
          }
        };
        await Promise.all([arrive(), disturb(), look()]);

        const refused = of('not H&E').length + of('damaged').length;
        const counts = async (rule: string) =>
          (await site.rules()).rules.find(({ name }) => name === rule)!.counts;
        const ends = { timeout: END_MS, interval: 500 };
        await expect
          .poll(async () => {
            const { COMPLETED = 0, REFUSED = 0, FAILED = 0 } = await counts('stored');
            return { COMPLETED, others: REFUSED + FAILED };
          }, ends)
          .toEqual({ COMPLETED: of('stored').length, others: refused });
        await expect.poll(() => counts('shown'), ends).toEqual({ FITTED: of('shown').length });
        await site.searched();

        const finding = { lost: 0, duplicated: 0, wrong: 0 };
        const derived = async ({ studyInstanceUid, seriesInstanceUid }: Arriving): Promise<string[]> =>
          site.derived({ studyInstanceUid, seriesInstanceUid, baseUid: '', files: [] });
        const lines = await site.series('stored');
        for (const one of slides) {
          const series = await derived(one);
          const wanted = one.fate === 'stored' ? 1 : 0;
          finding.lost += Math.max(0, wanted - series.length);
          finding.duplicated += Math.max(0, series.length - wanted);
          const line = lines.find(({ seriesInstanceUid }) => seriesInstanceUid === one.seriesInstanceUid);
          if (one.fate === 'not H&E') finding.wrong += Number(line?.code !== 'STAIN_NOT_HE');
          if (one.fate === 'damaged') finding.wrong += Number(!line?.code);
          for (const uid of series) {
            const found = await fetch(
              `${archive.url}/studies/${one.studyInstanceUid}/series/${uid}/instances`,
            );
            finding.wrong += Number(((await found.json()) as unknown[]).length !== one.files.length);
          }
        }
        waits.sort((a, b) => a - b);
        const at = (share: number): string => waits[Math.floor(share * (waits.length - 1))]!.toFixed(0);
        console.log(
          `Lists asked for meanwhile: ${waits.length}; median ${at(0.5)} ms, 95th percentile ${at(0.95)} ms, longest ${at(1)} ms.`,
        );
        return { times: faults, finding };
      }),
  );
});
