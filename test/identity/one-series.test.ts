/** The same request is the same series: for the command line and the service, now and after a deletion. */
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import {
  isFailed,
  type NormalizeArguments,
  normalizeCommand,
} from '../../server/src/cli/normalize-command.ts';
import { isExisting, type Normalized } from '../../server/src/cli/normalize-once.ts';
import { openPart10, type Part10File } from '../../server/src/dicom/part10-file.ts';
import { makeKeyObject } from '../support/make-key-object.ts';
import { createWorkplace, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { repository } from '../support/peers.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';

const SAMPLE = join(repository, 'scripts/sample');
const signal = new AbortController().signal;

let place: Workplace;
let source: string;
let destination: string;
let count = 0;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place[Symbol.asyncDispose]());
beforeEach(async () => {
  source = await place.fill(`source-${++count}`, SAMPLE);
  destination = join(place.folder, `destination-${count}`);
});

async function normalize(changes: Partial<NormalizeArguments> = {}): Promise<Normalized> {
  const [only] = await normalizeCommand(
    { source, destination, template: TEMPLATE, model: 'fast', transfer: 'linear', ...changes },
    place.composition,
    signal,
  );
  if (!only || isFailed(only)) throw new Error('nothing was made');
  return only;
}

async function filesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names.filter((name) => name.endsWith('.dcm')).map((name) => join(folder, name));
}

/** SHA-256 of each stored file of a series. */
async function bytesOf(seriesUid: string, folder = destination): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  for (const file of await filesIn(folder)) {
    await using part10 = await openPart10(file);
    if (part10.dataset.string('SeriesInstanceUID') !== seriesUid) continue;
    hashes.set(
      part10.sopInstanceUid,
      createHash('sha256')
        .update(await readFile(file))
        .digest('hex'),
    );
  }
  return hashes;
}

async function headerOf<T>(seriesUid: string, read: (file: Part10File) => T): Promise<T> {
  for (const file of await filesIn(destination)) {
    await using part10 = await openPart10(file);
    if (part10.dataset.string('SeriesInstanceUID') === seriesUid) return read(part10);
  }
  throw new Error(`no file of ${seriesUid}`);
}

/** Series that this one replaces, according to its header. */
const supersededBy = (seriesUid: string): Promise<string[]> =>
  headerOf(seriesUid, ({ dataset }) =>
    dataset
      .items('RelatedSeriesSequence')
      .filter((item) => item.items('PurposeOfReferenceCodeSequence')[0]?.string('CodeValue') === 'SUPERSEDED')
      .map((item) => item.string('SeriesInstanceUID')!),
  );

describe('the command line', () => {
  it('does nothing if the destination has the series', async () => {
    const first = await normalize();
    const before = await bytesOf(first.seriesInstanceUid);
    const second = await normalize();
    expect(isExisting(second)).toBe(true);
    expect(second.seriesInstanceUid).toBe(first.seriesInstanceUid);
    expect(await bytesOf(first.seriesInstanceUid)).toEqual(before);
    expect(await filesIn(destination)).toHaveLength(before.size);
  });

  it('makes it once if two commands are started at the same time, and the other says so', async () => {
    const outcomes = await Promise.allSettled([normalize(), normalize()]);
    const [made, refused] = outcomes.toSorted((a, b) => (a.status < b.status ? -1 : 1));
    expect(made).toMatchObject({ status: 'fulfilled' });
    expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'SERIES_IN_PROGRESS' } });
    expect(await readdir(place.spool)).toEqual([]);
    expect(isExisting(await normalize())).toBe(true);
  });

  it('completes a partial series, with the bytes that were missing', async () => {
    const first = await normalize();
    const { seriesInstanceUid } = first;
    const before = await bytesOf(seriesInstanceUid);
    const lost = (await filesIn(destination)).slice(0, 2);
    for (const file of lost) await rm(file);
    const second = await normalize();
    expect(second).toMatchObject({ seriesInstanceUid, revision: 1 });
    expect(await bytesOf(seriesInstanceUid)).toEqual(before);
  });

  it('makes the next revision for a slide with more instances, and names the revision of the incomplete one', async () => {
    const [last] = (await filesIn(source)).sort().slice(-1);
    const aside = join(place.folder, `aside-${count}.dcm`);
    await cp(last!, aside);
    await rm(last!);
    const half = await normalize();
    await cp(aside, last!);
    const whole = await normalize();
    expect(whole).toMatchObject({ revision: 2, supersedes: half.seriesInstanceUid });
    expect(await supersededBy(whole.seriesInstanceUid)).toEqual([half.seriesInstanceUid]);
    const description = await headerOf(whole.seriesInstanceUid, ({ dataset }) => [
      dataset.string('SeriesDescription'),
      dataset.string('DerivationDescription'),
    ]);
    expect(description[0]).toMatch(/, rev 2\) RUO$/);
    expect(description[1]).toContain(`Revision 2, replaces series ${half.seriesInstanceUid}.`);
  });

  it('makes a different series, not a revision, for another transfer', async () => {
    const first = await normalize();
    const other = await normalize({ transfer: 'paper' });
    expect(other).toMatchObject({ revision: 1, supersedes: undefined, transfer: 'paper' });
    expect(other.seriesInstanceUid).not.toBe(first.seriesInstanceUid);
    expect(isExisting(await normalize({ transfer: 'paper' }))).toBe(true);
  });

  it('makes the next revision of one that was rejected', async () => {
    const first = await normalize();
    await writeFile(join(destination, 'note.dcm'), makeKeyObject(first, '113001'));
    const second = await normalize();
    expect(second).toMatchObject({ revision: 2, supersedes: first.seriesInstanceUid });
    expect(isExisting(await normalize())).toBe(true);
  });

  it('is not misled by key objects that reject nothing', async () => {
    const first = await normalize();
    await writeFile(join(destination, 'note.dcm'), makeKeyObject(first, '113000'));
    expect(isExisting(await normalize())).toBe(true);
  });
});

describe('the service', () => {
  let archive: string;
  let service: ServiceProcess;
  beforeEach(async () => {
    const folder = join(place.folder, `service-${count}`);
    archive = join(folder, 'archive');
    await mkdir(archive, { recursive: true });
    for (const file of await filesIn(source)) await cp(file, join(archive, file.split('/').at(-1)!));
    service = await startProcess('serve', {
      STAIN_ARCHIVE_FOLDER: archive,
      STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    });
    return () => service[Symbol.asyncDispose]();
  });

  /** The job once it has ended. */
  async function ask(request: Partial<Job['request']>): Promise<Job> {
    const created = await fetch(`${service.url}/api/normalizations`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ template: TEMPLATE, model: 'fast', ...request }),
    });
    expect(created.ok).toBe(true);
    const { id } = (await created.json()) as Job;
    let job: Job | undefined;
    await expect
      .poll(
        async () => {
          job = (await (await fetch(`${service.url}/api/normalizations/${id}`)).json()) as Job;
          return job.state;
        },
        { timeout: 60_000 },
      )
      .toMatch(/COMPLETED|FAILED/);
    return job!;
  }

  it('makes the same series as the command line, and the next revision after it was deleted', async () => {
    const byHand = await normalize();
    const { studyInstanceUid, sourceSeriesInstanceUid: seriesInstanceUid } = byHand;
    const first = await ask({ studyInstanceUid, seriesInstanceUid });
    expect(first.result).toMatchObject({ seriesInstanceUid: byHand.seriesInstanceUid, revision: 1 });
    const uids = [...(await bytesOf(byHand.seriesInstanceUid)).keys()].sort();
    expect([...(await bytesOf(byHand.seriesInstanceUid, archive)).keys()].sort()).toEqual(uids);

    expect((await ask({ studyInstanceUid, seriesInstanceUid })).id).toBe(first.id);
    for (const file of await filesIn(archive)) {
      await using part10 = await openPart10(file);
      if (part10.dataset.string('SeriesInstanceUID') === byHand.seriesInstanceUid) await rm(file);
    }
    const shown = `${service.url}/dicom-web/studies/${studyInstanceUid}/series/${byHand.seriesInstanceUid}/instances`;
    await expect
      .poll(async () => (await (await fetch(shown)).text()).includes('00080018'), { timeout: 30_000 })
      .toBe(false);
    const again = await ask({ studyInstanceUid, seriesInstanceUid });
    expect(again.result).toMatchObject({ revision: 2, supersedes: byHand.seriesInstanceUid });
    expect(again.result!.seriesInstanceUid).not.toBe(byHand.seriesInstanceUid);
  });
});
