/** A job interrupted anywhere resumes there, and stores the same bytes as one that nobody disturbed. */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type {
  NormalizationRequest,
  NormalizationResult,
  Progress,
  Stage,
} from '../../core/src/contract/index.ts';
import { chooseSeries } from '../../server/src/cli/choose-series.ts';
import {
  type DerivationFacts,
  type DerivationRecords,
  recordsOf,
} from '../../server/src/pipeline/derivations.ts';
import { normalizeSeries } from '../../server/src/pipeline/normalize-series.ts';
import type { SeriesIdentity } from '../../server/src/pipeline/series-identity.ts';
import { openJobSpool, removeJobSpool } from '../../server/src/spool/spool.ts';
import { createWorkplace, IDENTITY, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';

let place: Workplace;
let source: ServedArchive;
let destination: ServedArchive;
let undisturbed: ReadonlyMap<string, string>;

beforeAll(async () => {
  // A checkpoint after each row of windows.
  place = await createWorkplace({ STAIN_SPOOL_CHECKPOINT_SECONDS: '0' });
  source = await serveArchive({ folder: await place.fill('source', join(repository, 'scripts/sample')) });
  destination = await serveArchive();
  await run();
  undisturbed = await stored();
  expect(undisturbed.size).toBe(4);
  await destination[Symbol.asyncDispose]();
  await forget();
});
afterAll(async () => {
  await source[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});
beforeEach(async () => {
  destination = await serveArchive();
});
afterEach(async () => {
  await destination[Symbol.asyncDispose]();
  await forget();
});

const forget = () => removeJobSpool({ directory: place.spool }, IDENTITY.seriesUuid);
const jobFolder = () => join(place.spool, `job-${IDENTITY.seriesUuid}`);

/** SHA-256 of each stored file by its name. */
async function stored(): Promise<Map<string, string>> {
  const names = await readdir(destination.folder, { recursive: true });
  const files = names.filter((name) => name.endsWith('.dcm')).sort();
  return new Map(
    await Promise.all(
      files.map(async (name) => {
        const bytes = await readFile(join(destination.folder, name));
        return [name, createHash('sha256').update(bytes).digest('hex')] as const;
      }),
    ),
  );
}

interface Ran {
  readonly result: NormalizationResult | undefined;
  readonly progress: readonly Progress[];
}

function flipped(bytes: Buffer): Buffer {
  for (let i = 0; i < bytes.length; i += 1000) bytes[i]! ^= 0x10;
  return bytes;
}

/** One attempt, interrupted when `isEnd` says so. */
async function run(
  isEnd: (progress: Progress) => boolean = () => false,
  changes: Partial<NormalizationRequest> = {},
  derivations: DerivationRecords = recordsOf(undefined),
): Promise<Ran> {
  await using input = await place.open(source.url);
  await using output = await place.open(destination.url);
  const end = new AbortController();
  const progress: Progress[] = [];
  const request = {
    ...(await chooseSeries(input, {}, end.signal)),
    template: TEMPLATE,
    model: 'fast',
    transfer: 'linear',
    encoding: 'jpeg',
    quality: 90,
    ...changes,
  } as const;
  const environment = place.composition.environment({ source: input.client, destination: output.client });
  try {
    const result = await normalizeSeries(
      request,
      IDENTITY,
      { ...environment, derivations },
      {
        signal: end.signal,
        onProgress(now) {
          progress.push(now);
          if (isEnd(now)) end.abort();
        },
      },
    );
    return { result, progress };
  } catch (error) {
    if (!end.signal.aborted) throw error;
    return { result: undefined, progress };
  }
}

const during =
  (stage: Stage, from = 0) =>
  (now: Progress) =>
    now.stage === stage && now.done / now.total > from;
const first = (ran: Ran, stage: Stage) => ran.progress.find((now) => now.stage === stage)!;

it.each<[string, (now: Progress) => boolean]>([
  ['while it fetches', during('fetch', 0.3)],
  ['while it fits', during('fit')],
  ['while it normalises', during('normalize', 0.5)],
  ['after the last pixel', during('normalize', 0.99)],
  ['while it stores', during('store', 0.01)],
  ['while it verifies', during('verify', 0.3)],
])('interrupted %s', async (_where, isEnd) => {
  expect((await run(isEnd)).result).toBeUndefined();
  const { result } = await run();
  expect(result?.instances).toHaveLength(4);
  expect(await stored()).toEqual(undisturbed);
});

it('interrupted again and again, at every row', async () => {
  let attempts = 0;
  for (let ran: Ran | undefined; !ran?.result; attempts++) {
    let start: number | undefined;
    ran = await run(({ stage, done, total }) => {
      if (stage !== 'normalize') return false;
      start ??= done / total;
      return done / total > start + 0.2;
    });
    expect(attempts).toBeLessThan(20);
  }
  expect(attempts).toBeGreaterThan(3);
  expect(await stored()).toEqual(undisturbed);
});

it('interrupted twice before it has made progress', async () => {
  await run(during('normalize', 0.6));
  await run(({ stage }) => stage === 'normalize');
  expect((await run()).result).toBeDefined();
  expect(await stored()).toEqual(undisturbed);
});

it('resumes where it stopped: fetches, fits and normalises nothing twice', async () => {
  await run(during('normalize', 0.6));
  const again = await run();
  expect(again.progress.some(({ stage }) => stage === 'fit')).toBe(false);
  const { done, total } = first(again, 'normalize');
  expect(done / total).toBeGreaterThan(0.4);
});

it.each<[string, (path: string) => Promise<void>]>([
  ['changed', async (path) => writeFile(path, flipped(await readFile(path)))],
  ['cut off', (path) => truncate(path, 3000)],
  ['gone', (path) => rm(path)],
])('does not trust what lies in the spool: files that are %s', async (_how, damage) => {
  await run(during('normalize', 0.6));
  for (const name of await readdir(jobFolder())) await damage(join(jobFolder(), name));
  const again = await run();
  expect(first(again, 'normalize').done).toBeLessThan(first(again, 'normalize').total / 4);
  expect(await stored()).toEqual(undisturbed);
});

it('whose files were evicted for an older job, makes the same bytes from the beginning', async () => {
  await run(during('normalize', 0.6));
  const options = { directory: place.spool, quotaBytes: 24e6 };
  const seriesUuid = '0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f11';
  const older = await openJobSpool(options, { seriesUuid, createdAt: '2020-01-02T03:04:05.000Z' });
  await older.reserve({ minimum: 0, likely: options.quotaBytes });
  await expect(readdir(jobFolder())).rejects.toMatchObject({ code: 'ENOENT' });
  await older.putDown('resting');
  await removeJobSpool(options, seriesUuid);
  const again = await run();
  expect(again.progress.some(({ stage }) => stage === 'fit')).toBe(true);
  expect(await stored()).toEqual(undisturbed);
});

it('uses nothing of another request under the same identity', async () => {
  await run(during('normalize', 0.6), { quality: 50 });
  expect((await run()).result).toBeDefined();
  expect(await stored()).toEqual(undisturbed);
});

it('whose slide no longer has the requested instances stores nothing', async () => {
  await expect(run(undefined, { sourceSha256: 'of fewer instances' })).rejects.toMatchObject({
    code: 'SOURCE_CHANGED',
  });
  expect((await stored()).size).toBe(0);
});

it('requested with another model, version or setting stores nothing', async () => {
  await expect(run(undefined, { contentSha256: 'of another model' })).rejects.toMatchObject({
    code: 'WORK_CHANGED',
  });
  expect((await stored()).size).toBe(0);
});

/** An attempt with records that say what another device has begun. */
async function runAfter(
  facts: DerivationFacts,
  changes: Partial<NormalizationRequest>,
): Promise<{ work: Promise<NormalizationResult>; givenUp: string[]; forgotten: string[] }> {
  const givenUp: string[] = [];
  const forgotten: string[] = [];
  let kept: DerivationFacts | undefined = facts;
  const derivations = {
    ...recordsOf(undefined),
    find: async () => kept,
    giveUp: async ({ seriesUuid }: SeriesIdentity) => void givenUp.push(seriesUuid),
    forget: async ({ seriesUuid }: SeriesIdentity) => {
      kept = undefined;
      forgotten.push(seriesUuid);
    },
  };
  return { work: run(undefined, changes, derivations).then(({ result }) => result!), givenUp, forgotten };
}

const elsewhere = { executionProvider: 'CUDAExecutionProvider' } as DerivationFacts;

it.each([
  ['has stored in part is abandoned, and stores nothing more', true],
  ['has begun without storing anything is started again', false],
])('that another device %s, by the paper', async (_what, isStored) => {
  await run(undefined, { transfer: 'paper' });
  const whole = await stored();
  if (!isStored) {
    await destination[Symbol.asyncDispose]();
    destination = await serveArchive();
  }
  await forget();
  const { work, givenUp, forgotten } = await runAfter(elsewhere, { transfer: 'paper' });
  if (isStored) {
    await expect(work).rejects.toMatchObject({ code: 'SERIES_UNREPEATABLE' });
    expect([givenUp, forgotten]).toEqual([[IDENTITY.seriesUuid], []]);
  } else {
    await work;
    expect([givenUp, forgotten]).toEqual([[], [IDENTITY.seriesUuid]]);
  }
  expect(await stored()).toEqual(whole);
});

it('that was fitted on another device is completed with that fit, by the linear map', async () => {
  let facts: DerivationFacts | undefined;
  const keep = async (_: SeriesIdentity, made: DerivationFacts) => {
    facts = { ...made, ...elsewhere };
    return facts;
  };
  await run(undefined, {}, { ...recordsOf(undefined), keep });
  const whole = await stored();
  await destination[Symbol.asyncDispose]();
  destination = await serveArchive();
  await forget();
  const { work, givenUp, forgotten } = await runAfter(facts!, {});
  await work;
  expect([givenUp, forgotten]).toEqual([[], []]);
  expect(await stored()).toEqual(whole);
});

it('uses the fit that somebody else has stored in the meantime', async () => {
  await run(undefined, {}, { ...recordsOf(undefined), keep: async (_, made) => made });
  const own = await stored();
  let theirs: DerivationFacts | undefined;
  const faster = {
    ...recordsOf(undefined),
    find: async () => theirs,
    async keep(_: SeriesIdentity, made: DerivationFacts) {
      const [first, ...others] = made.fit.densities;
      const mean = first!.mean.map((value) => value * 1.1) as unknown as [number, number, number];
      theirs ??= { ...made, fit: { ...made.fit, densities: [{ ...first!, mean }, ...others] } };
      return theirs;
    },
  };
  await destination[Symbol.asyncDispose]();
  destination = await serveArchive();
  await forget();
  await run(undefined, {}, faster);
  const first = await stored();
  expect(first).not.toEqual(own);
  await destination[Symbol.asyncDispose]();
  destination = await serveArchive();
  await forget();
  await (await runAfter(theirs!, {})).work;
  expect(await stored()).toEqual(first);
});
