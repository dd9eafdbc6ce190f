/**
 * Faults in a whole job: a clear code, nothing stored, an empty spool. A proxy in front of the real embedded archive
 * produces the faults that a healthy archive cannot.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toStainError } from '../../core/src/errors.ts';
import type { NormalizationOptions } from '../../server/src/pipeline/normalize-series.ts';
import { copySample } from '../support/copy-slide.ts';
import {
  answer,
  corrupt,
  type Fault,
  type FaultProxy,
  hang,
  isInstance,
  isStore,
  type Matcher,
  resetAfter,
  startFaultProxy,
  storeNothing,
  truncateInstance,
} from '../support/fault-proxy.ts';
import { createWorkplace, normalizeOnlySlide, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { type ServedArchive, serveArchive } from '../support/serve-archive.ts';

const SMALL = join(repository, 'scripts/sample/level-3.dcm');

async function faultyProxy(target: string, matches: Matcher, fault: Fault): Promise<FaultProxy> {
  const proxy = await startFaultProxy(target);
  proxy.inject(matches, fault);
  return proxy;
}

let place: Workplace;
let source: ServedArchive;
let destination: ServedArchive;

beforeEach(async () => {
  place = await createWorkplace({ STAIN_DICOMWEB_TIMEOUT_SECONDS: '2' });
  source = await serveArchive({ folder: await place.fill('source', SMALL) });
  destination = await serveArchive({ folder: await place.fill('destination') });
});
afterEach(async () => {
  await destination[Symbol.asyncDispose]();
  await source[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

async function stored(): Promise<string[]> {
  return (await readdir(destination.folder, { recursive: true })).filter((name) => name.endsWith('.dcm'));
}

async function expectFailure(
  from: string,
  to: string,
  code: string | RegExp,
  options: Partial<NormalizationOptions> = {},
): Promise<void> {
  await using input = await place.open(from);
  await using output = await place.open(to);
  const failure = normalizeOnlySlide(place, input, output, options);
  // An abort arrives as such or, from a request to the archive, as a StainError: the job record treats both alike.
  const error = await failure.then(() => undefined, toStainError);
  expect(error).toMatchObject({ code: expect.stringMatching(code) });
  // A damaged image is found only if it is named.
  if (error?.code === 'DICOM_INVALID') expect(error.message).toMatch(/ instance (2\.25|1\.2)\.[\d.]+\d\.$/);
  expect(await stored()).toEqual([]);
  expect(await readdir(place.spool)).toEqual([]);
}

/** Each response is the file of another instance, complete and well-formed. */
function exchanged(file: string): Fault {
  return async ({ response }) => {
    response.writeHead(200, { 'content-type': 'application/dicom' }).end(await readFile(file));
  };
}

describe('an archive that answers with the wrong image', () => {
  it('of another study: nothing is made from it', async () => {
    const { files } = await copySample('another patient', [3]);
    const other = join(place.folder, 'other.dcm');
    await writeFile(other, files[0]!);
    await using faulty = await faultyProxy(source.url, isInstance, exchanged(other));
    await expectFailure(faulty.url, destination.url, 'DICOM_INVALID');
  });

  it('another level of the same slide: it is not taken for the requested one', async () => {
    const coarse = join(repository, 'scripts/sample/level-3.dcm');
    await using twoLevels = await serveArchive({
      folder: await place.fill('two', join(repository, 'scripts/sample/level-2.dcm'), coarse),
    });
    await using faulty = await faultyProxy(twoLevels.url, isInstance, exchanged(coarse));
    await expectFailure(faulty.url, destination.url, 'DICOM_INVALID');
  });
});

describe('an archive that fails while the slide is fetched', () => {
  it.each<[string, Fault, RegExp]>([
    ['answers 500', answer(500), /^ARCHIVE_ERROR$/],
    ['hangs', hang, /^ARCHIVE_TIMEOUT$/],
    ['closes half-way', resetAfter(20_000), /^ARCHIVE_TRUNCATED$/],
    [
      'sends other bytes',
      corrupt,
      /^(DICOM_INVALID|FRAME_INVALID|ARCHIVE_PROTOCOL|SLIDE_STRUCTURE_INVALID)$/,
    ],
    ['sends an instance that is cut off in its frames', truncateInstance, /^DICOM_INVALID$/],
  ])('%s', async (_what, fault, code) => {
    await using faulty = await faultyProxy(source.url, isInstance, fault);
    await expectFailure(faulty.url, destination.url, code);
  });
});

it('an archive that answers 404 for a series that it does not have gets the result all the same', async () => {
  const isSearch: Matcher = ({ method, url }) =>
    method === 'GET' && /\/series\/2\.25\.\d+\/instances\?/.test(url ?? '');
  await using strict = await startFaultProxy(destination.url);
  const before = strict.inject(isSearch, answer(404), 1);
  await using input = await place.open(source.url);
  await using output = await place.open(strict.url);
  expect((await normalizeOnlySlide(place, input, output)).instances).toHaveLength(1);
  expect(before.met).toBe(1);
  expect(await stored()).toHaveLength(1);
});

describe('an archive that fails while the result is stored', () => {
  it.each<[string, Fault, RegExp]>([
    ['answers 500', answer(500), /^(ARCHIVE_ERROR|STORE_REJECTED)$/],
    ['hangs', hang, /^ARCHIVE_TIMEOUT$/],
  ])('%s', async (_what, fault, code) => {
    await using faulty = await faultyProxy(destination.url, isStore, fault);
    await expectFailure(source.url, faulty.url, code);
  });

  it('closing halfway through its answer: what was stored is found and the job succeeds', async () => {
    await using faulty = await faultyProxy(destination.url, isStore, resetAfter(10));
    await using input = await place.open(source.url);
    await using output = await place.open(faulty.url);
    const result = await normalizeOnlySlide(place, input, output);
    expect(result.instances).toHaveLength(1);
    expect(await stored()).toHaveLength(1);
  });
});

it('an archive that fails at the last instance: the same job run again completes the series, once', async () => {
  await using twoLevels = await serveArchive({
    folder: await place.fill('two', SMALL, join(repository, 'scripts/sample/level-2.dcm')),
  });
  let stores = 0;
  await using faulty = await faultyProxy(
    destination.url,
    (request) => isStore(request) && ++stores > 1,
    answer(500),
  );
  await using input = await place.open(twoLevels.url);
  await using failing = await place.open(faulty.url);
  await expect(normalizeOnlySlide(place, input, failing)).rejects.toMatchObject({ code: 'ARCHIVE_ERROR' });
  // The base level goes last, so what is there is not a slide yet.
  expect(await stored()).toHaveLength(1);

  await using healthy = await place.open(destination.url);
  const result = await normalizeOnlySlide(place, input, healthy);
  expect(await stored()).toHaveLength(2);
  const signal = new AbortController().signal;
  const metadata = await healthy.client.seriesMetadata(
    result.studyInstanceUid,
    result.seriesInstanceUid,
    signal,
  );
  expect(new Set(metadata.map((header) => header.number('SeriesNumber'))).size).toBe(1);
});

describe('an archive that claims to have stored what it did not', () => {
  it.each([
    ['the first of two levels: the base level is not stored either', 1, 0],
    ['the base level: the error says what is stored', 2, 1],
  ])('%s', async (_what, lie, there) => {
    await using twoLevels = await serveArchive({
      folder: await place.fill('two', SMALL, join(repository, 'scripts/sample/level-2.dcm')),
    });
    let stores = 0;
    await using faulty = await faultyProxy(
      destination.url,
      (request) => isStore(request) && ++stores === lie,
      storeNothing,
    );
    await using input = await place.open(twoLevels.url);
    await using output = await place.open(faulty.url);
    const error = await normalizeOnlySlide(place, input, output).then(() => undefined, toStainError);
    expect(error?.code).toBe('STORE_UNVERIFIED');
    expect(error?.data['stored'] ?? 0).toBe(there);
    expect(await stored()).toHaveLength(there);
  });
});

describe('a damaged slide', () => {
  it.each<[string, (bytes: Buffer) => Buffer]>([
    ['cut off in its frames', (bytes) => bytes.subarray(0, bytes.length * 0.7)],
    ['a frame overwritten', (bytes) => bytes.fill(0x55, bytes.length - 9000, bytes.length - 3000)],
  ])('%s', async (_what, damage) => {
    const path = join(source.folder, 'level-3.dcm');
    await writeFile(path, damage(await readFile(path)));
    await source.archive.rescan();
    await expectFailure(source.url, destination.url, /^(DICOM_INVALID|FRAME_INVALID|SERIES_NOT_FOUND)$/);
  });
});

it('a job that is cancelled stores nothing and leaves no spool', async () => {
  const controller = new AbortController();
  await expectFailure(source.url, destination.url, 'CANCELLED', {
    signal: controller.signal,
    onProgress({ stage }) {
      if (stage === 'normalize') controller.abort();
    },
  });
});
