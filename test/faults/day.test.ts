/**
 * A day in fast motion: slides arrive at random moments at two real Orthancs, some in parts, some not H&E, some damaged. The results
 * of one are stored in the other, those of the other in the default archive. Rules for both, three workers on PostgreSQL; workers are
 * killed, the database restarts, the archives fail for moments, and one is away for a third of the day. In the end every slide that
 * matches has exactly one right result, where it belongs, or its reason.
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
import { imagesIn } from '../support/stored-result.ts';
import { tissueSlide } from '../support/tissue-slide.ts';
import { ARCHIVES } from './archives.ts';
import { randomFrom, seed } from './random.ts';
import { recorded } from './record.ts';

const TEMPLATE = 'he-violet';
const STORED = { match: { StationName: 'STORE-*' }, template: TEMPLATE, outcome: 'store' };
const SHOWN = { match: { StationName: 'SHOW-*' }, template: TEMPLATE };
const SITES = ['north', 'south'] as const;
type Site = (typeof SITES)[number];
/** Where the results of each go. The names of its rules begin with its own. */
const RESULTS_OF = { north: 'south', south: 'default' } as const;
const RULES = [
  { name: 'north-stored', source: 'north', destination: RESULTS_OF.north, ...STORED },
  { name: 'north-shown', source: 'north', ...SHOWN },
  { name: 'south-stored', source: 'south', destination: RESULTS_OF.south, ...STORED },
  { name: 'south-shown', source: 'south', ...SHOWN },
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
  readonly site: Site;
  readonly fate: Fate;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  /** The base level last. */
  readonly files: readonly Uint8Array[];
}

async function slideOf(number: number): Promise<Arriving> {
  // Each fate comes to both.
  const [fate, site] = [FATES[number % FATES.length]!, SITES[Math.floor((number * 3) / 2) % 2]!];
  const name = `day ${seed} ${number}`;
  const station = { stored: 'STORE-1', shown: 'SHOW-1', 'left alone': 'OTHER' }[fate as string] ?? 'STORE-2';
  const attributes = { StudyDate: TODAY, StationName: station };
  if (fate === 'not H&E' || fate === 'damaged') {
    const overrides = { ...attributes, Modality: 'SM' };
    const one =
      fate === 'damaged' ? storableSlide(name, { overrides }) : tissueSlide(name, { overrides }, brown);
    const files = [one.bytes];
    return { site, fate, studyInstanceUid: one.studyUid, seriesInstanceUid: one.seriesUid, files };
  }
  const { studyInstanceUid, seriesInstanceUid, files } = await wholeSlide(name, [2, 3], attributes);
  return { site, fate, studyInstanceUid, seriesInstanceUid, files: files.toReversed() };
}

const orthanc = ARCHIVES.find(({ name }) => name === 'Orthanc')!;
const missing = postgresMissing ?? orthanc.missing;

describe.skipIf(missing !== undefined)(missing ? `a day (skipped: ${missing})` : 'a day', () => {
  it(
    `of ${SLIDES} slides with faults ends with one result or one reason each (seed ${seed})`,
    { timeout: 2 * END_MS },
    () =>
      recorded(`a day of ${SLIDES} slides at two archives: faults while they arrive`, async () => {
        const random = randomFrom(`${seed} day`);
        await using postgres = await startPostgres();
        await using peers = new AsyncDisposableStack();
        const started = async () => peers.use(await orthanc.start());
        const archives = { north: await started(), south: await started(), default: await started() };
        const inFrontOf = async (name: Site) => peers.use(await startFaultProxy(archives[name].url));
        const proxies = { north: await inFrontOf('north'), south: await inFrontOf('south') };
        await using site = await startRulesSite(archives.default.url, RULES, {
          STAIN_ARCHIVES: JSON.stringify({
            north: { url: proxies.north.url },
            south: { url: proxies.south.url },
          }),
          STAIN_DATABASE_URL: postgres.url,
          STAIN_JOBS_HEARTBEAT_SECONDS: '10',
          STAIN_JOBS_CONCURRENCY: '0',
        });
        await using resources = new AsyncDisposableStack();
        const workers = await Promise.all(
          Array.from({ length: WORKERS }, () =>
            startProcess('worker', { ...site.environment, STAIN_JOBS_CONCURRENCY: '1' }),
          ),
        );
        for (const worker of workers) resources.use(worker);
        await expect.poll(async () => (await site.rules()).search.isSurveyed, { timeout: 60_000 }).toBe(true);

        const slides: Arriving[] = [];
        for (let i = 0; i < SLIDES; i++) slides.push(await slideOf(i));
        const of = (name: Site, ...fates: Fate[]): number =>
          slides.filter((one) => one.site === name && fates.includes(one.fate)).length;

        let isDay = true;
        const distant = SITES[Math.floor(random() * SITES.length)]!;
        let isAway = false;
        const comeBack = (): void => {
          isAway = false;
          proxies[distant].heal();
        };
        const arrive = async (): Promise<void> => {
          const inOrder = slides.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at);
          for (const [i, { one }] of inOrder.entries()) {
            if (i === Math.floor(SLIDES / 3)) {
              isAway = true;
              proxies[distant].inject(isAny, reset);
            }
            if (i === Math.ceil((2 * SLIDES) / 3)) comeBack();
            await pause(random() * 2 * ARRIVAL_MS);
            const isInParts = random() < 0.3;
            for (const file of one.files) {
              await archives[one.site].put([file]);
              if (isInParts) await pause(random() * 3000);
            }
          }
          comeBack();
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
              const name = SITES[Math.floor(random() * SITES.length)]!;
              proxies[name].inject(isAny, random() < 0.5 ? answer(503) : reset);
              await pause(random() * 4000);
              if (!(isAway && name === distant)) proxies[name].heal();
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

        const counts = async (rule: string) =>
          (await site.rules()).rules.find(({ name }) => name === rule)!.counts;
        const ends = { timeout: END_MS, interval: 500 };
        for (const name of SITES) {
          await expect
            .poll(async () => {
              const { COMPLETED = 0, REFUSED = 0, FAILED = 0, ...rest } = await counts(`${name}-stored`);
              return { COMPLETED, others: REFUSED + FAILED, rest };
            }, ends)
            .toEqual({ COMPLETED: of(name, 'stored'), others: of(name, 'not H&E', 'damaged'), rest: {} });
          await expect
            .poll(async () => ({ FITTED: 0, ...(await counts(`${name}-shown`)) }), ends)
            .toEqual({ FITTED: of(name, 'shown') });
        }
        await site.searched();

        const finding = { lost: 0, duplicated: 0, wrong: 0 };
        const lines = (await Promise.all(SITES.map((name) => site.series(`${name}-stored`)))).flat();
        for (const one of slides) {
          const { fate, studyInstanceUid, seriesInstanceUid } = one;
          for (const place of [...SITES, 'default'] as const) {
            const { url } = archives[place];
            const series = (await imagesIn({ url }, studyInstanceUid)).filter(
              (uid) => uid !== seriesInstanceUid,
            );
            const wanted = fate === 'stored' && place === RESULTS_OF[one.site] ? 1 : 0;
            finding.lost += Math.max(0, wanted - series.length);
            finding.duplicated += Math.max(0, series.length - wanted);
            for (const uid of series) {
              const found = await fetch(`${url}/studies/${studyInstanceUid}/series/${uid}/instances`);
              finding.wrong += Number(((await found.json()) as unknown[]).length !== one.files.length);
            }
          }
          const line = lines.find((each) => each.seriesInstanceUid === seriesInstanceUid);
          if (fate === 'not H&E') finding.wrong += Number(line?.code !== 'STAIN_NOT_HE');
          if (fate === 'damaged') finding.wrong += Number(!line?.code);
        }
        waits.sort((a, b) => a - b);
        const at = (share: number): string => waits[Math.floor(share * (waits.length - 1))]!.toFixed(0);
        console.log(
          `Lists asked for meanwhile: ${waits.length}; median ${at(0.5)} ms, 95th percentile ${at(0.95)} ms, longest ${at(1)} ms.`,
        );
        // The absence is one more.
        return { times: faults + 1, finding };
      }),
  );
});
