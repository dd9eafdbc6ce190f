/**
 * Slides that lie about their size, jobs that want more than there is, processes that die: the spool never exceeds its
 * quota.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { isFinal } from '../../core/src/contract/index.ts';
import { toStainError } from '../../core/src/errors.ts';
import { CodecPool } from '../../server/src/codec/codec-pool.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { openJobSpool, spoolUse } from '../../server/src/spool/spool.ts';
import { ARCHIVES } from '../faults/archives.ts';
import { PYRAMID, Site, type SiteSlide } from '../faults/site.ts';
import { copySample } from '../support/copy-slide.ts';
import { delay, type Fault, isAny, isInstance, startFaultProxy } from '../support/fault-proxy.ts';
import { EXPLICIT_LITTLE_ENDIAN, makeSlideInstance } from '../support/make-slide.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { postgresMissing, type RunningPostgres, startPostgres } from '../support/postgres.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';
import { bytesIn, watchSpool } from '../support/spool-watch.ts';

const orthanc = ARCHIVES.find(({ name }) => name === 'Orthanc')!;
const unless = (missing: string | undefined, name: string) =>
  missing ? `${name} (skipped: ${missing})` : name;

/** Levels of the sample: small, but with everything that a slide has. */
const LEVELS = [1, 2, 3];
/** As estimated for them. */
const ESTIMATE = 12e6;

describe.skipIf(orthanc.missing !== undefined)(
  unless(orthanc.missing, 'three running slides, in front of Orthanc'),
  () => {
    let site: Site;
    let slides: SiteSlide[];

    async function open(quotaBytes: number): Promise<void> {
      site = await Site.open({
        archive: orthanc,
        environment: {
          STAIN_SPOOL_QUOTA_BYTES: String(quotaBytes),
          STAIN_SPOOL_MIN_FREE_BYTES: '0',
          STAIN_JOBS_CONCURRENCY: '3',
        },
      });
      slides = [];
      for (const name of ['a', 'b', 'c']) slides.push(await site.add(name, LEVELS));
    }
    afterEach(() => site?.[Symbol.asyncDispose]());

    it.each([
      ['room for two', 2.1 * ESTIMATE],
      ['room for less than was estimated for one', 11e6],
    ])('attack: three jobs on %s all succeed, within the quota', async (_what, quotaBytes) => {
      await open(quotaBytes);
      const watch = watchSpool(site.spool);
      // All of them hold room at the same time, or ask for it.
      site.proxy.inject(isInstance, delay(500));
      const jobs = await Promise.all(slides.map((slide) => site.submit(slide)));
      const waited = jobs.map(({ id }) => site.see(id, ({ waiting }) => waiting?.code === 'SPOOL_FULL'));
      const ended = await Promise.all(jobs.map(({ id }) => site.end(id)));
      for (const [i, job] of ended.entries())
        expect(await site.findings(slides[i]!, job)).toEqual({ lost: 0, duplicated: 0, wrong: 0 });
      const peak = await watch.peak();
      expect(peak).toBeGreaterThan(1e6);
      expect(peak).toBeLessThanOrEqual(quotaBytes);
      expect((await Promise.all(waited)).some((job) => job !== undefined)).toBe(true);
    });
  },
);

describe('a slide that can never fit', () => {
  it('attack: is refused when it is requested, with the numbers, and takes no place in the queue', async () => {
    await using small = await Site.open({
      environment: { STAIN_SPOOL_QUOTA_BYTES: '100000', STAIN_SPOOL_MIN_FREE_BYTES: '0' },
    });
    const slide = await copySample('a', PYRAMID);
    await small.put(slide);
    const { studyInstanceUid, seriesInstanceUid } = slide;
    const answer = await fetch(`${small.service.url}/api/normalizations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ studyInstanceUid, seriesInstanceUid, template: 'he-pink-violet' }),
    });
    expect(answer.status).toBe(507);
    expect(await answer.json()).toMatchObject({
      code: 'SPOOL_TOO_SMALL',
      data: { needed: expect.any(Number), quota: 100_000 },
    });
    const { jobs } = (await (await fetch(`${small.service.url}/api/normalizations`)).json()) as {
      jobs: unknown[];
    };
    expect(jobs).toEqual([]);
    expect(await readdir(small.spool)).toEqual([]);
  });
});

describe('a slide that is larger than its metadata suggest', () => {
  /** Claims lossy compression, but is uncompressed. */
  let liar: Buffer;
  let source: ServedArchive;
  let destination: ServedArchive;
  let place: Workplace;

  beforeAll(async () => {
    liar = await uncompressedLevel();
  });
  beforeEach(async () => {
    source = await serveArchive();
    destination = await serveArchive();
    await writeFile(join(source.folder, 'liar.dcm'), liar);
    await source.archive.rescan();
  });
  afterEach(async () => {
    await destination[Symbol.asyncDispose]();
    await source[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  });

  /** How the archive may respond. */
  const announcing: Fault = async ({ ask, pass }) => pass(await ask());
  const silent: Fault = async ({ ask, pass }) => {
    const answer = await ask();
    delete answer.headers['content-length'];
    await pass(answer);
  };

  /** @returns code of the failure, and the maximum number of bytes that were in the spool */
  async function run(
    fault: Fault,
    quotaBytes: number,
    other = 0,
  ): Promise<{ error: ReturnType<typeof toStainError> | undefined; peak: number }> {
    place = await createWorkplace({
      STAIN_SPOOL_QUOTA_BYTES: String(quotaBytes),
    });
    await using proxy = await startFaultProxy(source.url);
    proxy.inject(isInstance, fault);
    await using input = await place.open(proxy.url);
    await using output = await place.open(destination.url);
    const options = { directory: place.spool, quotaBytes };
    const busy = await openJobSpool(options, {
      seriesUuid: '0d0c5b0e-0d1c-4a3f-9d3f-5a1c7e6b2f99',
      createdAt: '2020-01-01T00:00:00.000Z',
    });
    await busy.reserve({ minimum: other, likely: other });
    const watch = watchSpool(place.spool);
    const error = await normalizeOnlySlide(place, input, output).then(() => undefined, toStainError);
    const peak = await watch.peak();
    await busy.putDown('resting');
    return { error, peak };
  }

  it.each([
    ['that announces the length', announcing],
    ['that announces no length', silent],
  ])('attack: with an archive %s it never exceeds the quota', async (_what, fault) => {
    const estimated = 8e6;
    expect(liar.length).toBeGreaterThan(5.9e6);
    // There is room for the estimated size, but another job has the room for the real one.
    const waiting = await run(fault, 20e6, 20e6 - estimated);
    expect(waiting.error).toMatchObject({ code: 'SPOOL_FULL' });
    expect(waiting.peak).toBeLessThanOrEqual(estimated);
    await place[Symbol.asyncDispose]();
    // There never will be room for it.
    const never = await run(fault, 4e6);
    expect(never.error).toMatchObject({ code: 'SPOOL_TOO_SMALL', data: { quota: 4e6 } });
    expect(never.peak).toBeLessThanOrEqual(4e6);
    if (fault === announcing) expect(never.peak).toBe(0);
    await place[Symbol.asyncDispose]();
    // There is room: the slide takes more than was reserved, and succeeds.
    const through = await run(fault, 40e6);
    expect(through.error).toBeUndefined();
    expect(through.peak).toBeGreaterThan(5.9e6);
  });
});

describe('processes that share a spool', () => {
  let directory: string;
  interface User {
    readonly child: ChildProcess;
    /** A process is in the middle of its work, or has ended. */
    readonly busy: Promise<unknown>;
    readonly ended: Promise<unknown>;
  }
  const children: ChildProcess[] = [];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'stain-shared-spool-'));
  });
  afterEach(async () => {
    for (const child of children.splice(0)) if (child.exitCode === null) child.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  });

  /** Listens from the start: a user may do all its work, and end, while the test waits for another one. */
  function start(quotaBytes: number, jobs: readonly string[]): User {
    const program = join(repository, 'test/support/spool-user.ts');
    const child = spawn(process.execPath, [program, directory, String(quotaBytes), ...jobs], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const ended = once(child, 'exit');
    return { child, busy: Promise.race([once(child.stdout, 'data'), ended]), ended };
  }

  it('attack: killed at any moment, they never exceed the quota, and what they held is free again', async () => {
    const quotaBytes = 4e6;
    const ids = (from: number) =>
      Array.from({ length: 8 }, (_, i) => `0d0c5b0e-0d1c-4a3f-9d3f-${String(from + i).padStart(12, '0')}`);
    const watch = watchSpool(directory);
    const starts = [0, 1000, 2000];
    const users = starts.map((from) => start(quotaBytes, ids(from)));
    for (let kills = 0; kills < 6; kills++) {
      const victim = users[kills % users.length]!;
      await victim.busy;
      victim.child.kill('SIGKILL');
      await victim.ended;
      users[kills % users.length] = start(quotaBytes, ids(starts[kills % users.length]!));
    }
    await Promise.all(users.map(({ ended }) => ended));
    expect(users.map(({ child }) => child.exitCode)).toEqual([0, 0, 0]);
    expect(await watch.peak()).toBeLessThanOrEqual(quotaBytes);
    const last = await openJobSpool(
      { directory, quotaBytes },
      { seriesUuid: ids(9000)[0]!, createdAt: '2026' },
    );
    await last.reserve({ minimum: 0, likely: 0.9 * quotaBytes });
    await last.take(quotaBytes);
    expect(await bytesIn(directory)).toBe(0);
    expect(await spoolUse({ directory, quotaBytes })).toMatchObject({
      reserved: quotaBytes,
      attainable: quotaBytes,
    });
  });
});

describe.skipIf(postgresMissing !== undefined)(unless(postgresMissing, 'two workers on one spool'), () => {
  let postgres: RunningPostgres;
  let site: Site;
  const quotaBytes = 1.2 * ESTIMATE;
  beforeAll(async () => {
    postgres = await startPostgres();
    site = await Site.open({
      databaseUrl: postgres.url,
      workers: 2,
      environment: {
        STAIN_SPOOL_QUOTA_BYTES: String(quotaBytes),
        STAIN_SPOOL_MIN_FREE_BYTES: '0',
      },
    });
  });
  afterAll(async () => {
    await site?.[Symbol.asyncDispose]();
    await postgres?.[Symbol.asyncDispose]();
  });

  it('attack: one is killed with all the room in its hands, and all jobs succeed', async () => {
    const slides = [await site.add('a', LEVELS), await site.add('b', LEVELS)];
    const watch = watchSpool(site.spool);
    // Long enough to be caught at work.
    site.proxy.inject(isAny, delay(500));
    const jobs: string[] = [];
    for (const slide of slides) jobs.push((await site.submit(slide)).id);
    await Promise.any(
      jobs.map(async (id) => {
        const job = await site.see(id, ({ progress }) => progress?.stage === 'fetch');
        expect(isFinal(job!.state)).toBe(false);
      }),
    );
    for (const worker of site.workers) {
      await worker.kill();
      await worker.start();
    }
    site.proxy.heal();
    const ended = await Promise.all(jobs.map((id) => site.end(id)));
    for (const [i, job] of ended.entries())
      expect(await site.findings(slides[i]!, job)).toEqual({ lost: 0, duplicated: 0, wrong: 0 });
    expect(await watch.peak()).toBeLessThanOrEqual(quotaBytes);
  });
});

/** A level of the sample with uncompressed pixels, whose header claims lossy compression. */
async function uncompressedLevel(): Promise<Buffer> {
  await using file = await openPart10(join(repository, 'scripts/sample/level-1.dcm'));
  const codecs = new CodecPool({ threads: 1 });
  const signal = new AbortController().signal;
  const { dataset, transferSyntaxUid, numberOfFrames } = file;
  const [rows, columns] = [dataset.number('Rows')!, dataset.number('Columns')!];
  const format = {
    rows,
    columns,
    photometricInterpretation: dataset.string('PhotometricInterpretation')!,
    planarConfiguration: 0,
    transferSyntaxUid,
  };
  const frames: Uint8Array[] = [];
  for (let frame = 0; frame < numberOfFrames; frame++)
    frames.push(await codecs.decode(await file.frame(frame), format, { table: undefined, signal }));
  await codecs.close();
  return Buffer.from(
    makeSlideInstance({
      rows,
      columns,
      totalRows: dataset.number('TotalPixelMatrixRows')!,
      totalColumns: dataset.number('TotalPixelMatrixColumns')!,
      frames,
      transferSyntaxUid: EXPLICIT_LITTLE_ENDIAN,
      photometricInterpretation: 'RGB',
      overrides: {
        LossyImageCompression: '01',
        LossyImageCompressionRatio: '15',
        LossyImageCompressionMethod: 'ISO_10918_1',
      },
    }),
  );
}
