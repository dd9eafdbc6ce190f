/**
 * Two slides in one series: each becomes a series of its own, with its own headers and pixels, whoever requests it and
 * how.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../core/src/contract/index.ts';
import { normalizeAllCommand } from '../../server/src/cli/normalize-all-command.ts';
import {
  describeOutcomes,
  isFailed,
  type NormalizeArguments,
  normalizeCommand,
} from '../../server/src/cli/normalize-command.ts';
import { isExisting, type Normalized, normalizeOnce } from '../../server/src/cli/normalize-once.ts';
import { openPart10 } from '../../server/src/dicom/part10-file.ts';
import { createWorkplace, TEMPLATE, type Workplace } from '../support/normalize.ts';
import { type ServiceProcess, startProcess } from '../support/service-process.ts';
import { imagesOf, own, PAIR, type SlideName, writeGlass, writeSlides } from '../support/slide-pair.ts';

const signal = new AbortController().signal;
const [BASE_A] = imagesOf('A');
const [BASE_B] = imagesOf('B');
/** In the order of slides of the same size: by the UIDs of their base levels. */
const BOTH: readonly SlideName[] = BASE_A < BASE_B ? ['A', 'B'] : ['B', 'A'];
const BASES = BOTH.map((slide) => imagesOf(slide)[0]);

let place: Workplace;
let count = 0;
let source: string;
let destination: string;
beforeAll(async () => {
  place = await createWorkplace({ STAIN_JOBS_STABLE_SECONDS: '0' });
});
afterAll(() => place[Symbol.asyncDispose]());
beforeEach(async () => {
  source = await place.fill(`source-${++count}`);
  destination = join(place.folder, `destination-${count}`);
});

async function normalize(changes: Partial<NormalizeArguments> = {}): Promise<Normalized[]> {
  const outcomes = await normalizeCommand(
    { source, destination, template: TEMPLATE, model: 'fast', transfer: 'linear', ...changes },
    place.composition,
    signal,
  );
  return outcomes.map((outcome) => {
    if (isFailed(outcome)) throw new Error(outcome.error.message);
    return outcome;
  });
}

/** What the instances of a derived series say about their slide, and SHA-256 of their frames by size. */
async function stored(seriesInstanceUid: string) {
  const says: { container?: string; frameOfReference?: string; specimen?: string }[] = [];
  const frames: Record<string, string> = {};
  let description = '';
  for (const name of await readdir(destination, { recursive: true })) {
    if (!name.endsWith('.dcm')) continue;
    await using file = await openPart10(join(destination, name));
    const { dataset } = file;
    if (dataset.string('SeriesInstanceUID') !== seriesInstanceUid) continue;
    says.push({
      container: dataset.string('ContainerIdentifier')!,
      frameOfReference: dataset.string('FrameOfReferenceUID')!,
      specimen: dataset.items('SpecimenDescriptionSequence')[0]!.string('SpecimenUID')!,
    });
    description = dataset.string('SeriesDescription')!;
    const hash = createHash('sha256');
    for (let frame = 0; frame < file.numberOfFrames; frame++) hash.update(await file.frame(frame));
    frames[`${dataset.number('TotalPixelMatrixColumns')}`] = hash.digest('hex');
  }
  return { says, frames, description };
}

/** Frames of the derived series of a slide that is alone in its series. */
async function framesAlone(slide: SlideName): Promise<Record<string, string>> {
  source = await place.fill(`alone-${++count}`);
  destination = join(place.folder, `destination-${count}`);
  await writeSlides(source, slide);
  const [only] = await normalize();
  return (await stored(only!.seriesInstanceUid)).frames;
}

describe('the command line', () => {
  it('makes a series of each, with the container, frame of reference, specimen and pixels of its own slide', async () => {
    await writeSlides(source, ...BOTH);
    const made = await normalize();
    expect(made.map(({ sourceSlide }) => sourceSlide)).toEqual(BASES);
    const found = await Promise.all(made.map(({ seriesInstanceUid }) => stored(seriesInstanceUid)));
    for (const [i, slide] of BOTH.entries()) {
      expect(found[i]!.says).toEqual([own(slide), own(slide), own(slide)]);
      expect(found[i]!.frames).toEqual(await framesAlone(slide));
      expect(found[i]!.description).toMatch(new RegExp(`, cont~er_${slide}\\) RUO$`));
    }
    expect(Object.keys(found[0]!.frames)).toEqual(expect.arrayContaining(['256', '128', '64']));
    expect(found[0]!.frames).not.toEqual(found[1]!.frames);
  });

  it('does nothing for an existing result, whether the slide is named by another of its images or not at all', async () => {
    await writeSlides(source, ...BOTH);
    const [first] = await normalize({ slide: BASE_B });
    for (const image of imagesOf('B')) {
      const [again] = await normalize({ slide: image });
      expect(again).toMatchObject({ existing: true, seriesInstanceUid: first!.seriesInstanceUid });
    }
    const both = await normalize();
    expect(both.find(isExisting)).toMatchObject({ sourceSlide: BASE_B });
    // Neither replaces the other.
    const other = { sourceSlide: BASE_A, revision: 1, supersedes: undefined };
    expect(both.find((one) => !isExisting(one))).toMatchObject(other);
  });

  it('treats the only slide of a series as the same, named or not', async () => {
    await writeSlides(source, 'A');
    const [first] = await normalize();
    const [named] = await normalize({ slide: imagesOf('A')[1] });
    expect(named).toMatchObject({ existing: true, seriesInstanceUid: first!.seriesInstanceUid });
    expect(first!.sourceSlide).toBeUndefined();
  });

  it('refuses an image that the series does not have', async () => {
    await writeSlides(source, ...BOTH);
    await expect(normalize({ slide: PAIR.seriesInstanceUid })).rejects.toMatchObject({
      code: 'SLIDE_NOT_FOUND',
    });
  });

  it('makes one if the other fails, and says which', async () => {
    await writeGlass(source, BOTH[0]!);
    await writeSlides(source, BOTH[1]!);
    const outcomes = await normalizeCommand(
      { source, destination, template: TEMPLATE, model: 'fast', transfer: 'linear' },
      place.composition,
      signal,
    );
    expect(outcomes).toMatchObject([
      { sourceSlide: BASES[0], error: { code: 'TOO_LITTLE_TISSUE' } },
      { sourceSlide: BASES[1], seriesInstanceUid: expect.stringMatching(/^2\.25\./) },
    ]);
    expect(describeOutcomes(outcomes)).toMatch(
      new RegExp(
        `^Slide B0\\.dcm ${BASES[0]} failed .*\\n.*\\nStored series .*\\n.*\\n  slide       ${BASES[1]}`,
      ),
    );
  });

  it('fetches the images of the named slide and no others', async () => {
    await writeSlides(source, ...BOTH);
    await using from = await place.open(source);
    await using to = await place.open(destination);
    const fetched: string[] = [];
    const environment = place.composition.environment({ source: from.client, destination: to.client });
    const client = Object.create(from.client) as typeof from.client;
    client.retrieveInstance = (study, series, uid, ...more) => {
      fetched.push(uid);
      return from.client.retrieveInstance(study, series, uid, ...more);
    };
    await normalizeOnce(
      {
        ...PAIR,
        slide: BASE_A,
        template: TEMPLATE,
        model: 'fast',
        transfer: 'linear',
        encoding: 'jpeg',
        quality: 90,
      },
      { ...environment, source: client },
      { signal, onProgress() {} },
    );
    expect(fetched.toSorted()).toEqual(imagesOf('A').toSorted());
  });

  it('has a line for each in the report of normalize-all, and skips both the next time', async () => {
    await writeSlides(source, ...BOTH);
    const all = async () => {
      const args = {
        source,
        destination,
        template: TEMPLATE,
        model: 'fast',
        transfer: 'linear',
        query: [],
      } as const;
      return (await normalizeAllCommand(args, place.composition, signal)).series;
    };
    const line = (slide: string, state: string) => ({
      ...PAIR,
      slide,
      state,
      derivedSeriesInstanceUid: expect.stringMatching(/^2\.25\./),
    });
    const first = await all();
    expect(first).toMatchObject(BASES.map((base) => line(base, 'COMPLETED')));
    expect(first[0]!.derivedSeriesInstanceUid).not.toBe(first[1]!.derivedSeriesInstanceUid);
    expect(await all()).toMatchObject(BASES.map((base) => line(base, 'SKIPPED')));
  });
});

describe('the service', () => {
  let service: ServiceProcess;
  beforeEach(async () => {
    const folder = join(place.folder, `service-${count}`);
    const archive = join(folder, 'archive');
    await mkdir(archive, { recursive: true });
    await writeSlides(archive, ...BOTH);
    service = await startProcess('serve', {
      STAIN_ARCHIVE_FOLDER: archive,
      STAIN_DATABASE_DIRECTORY: join(folder, 'database'),
      STAIN_SPOOL_DIRECTORY: join(folder, 'spool'),
      STAIN_TEMPLATES_DIRECTORY: join(folder, 'templates'),
    });
    return () => service[Symbol.asyncDispose]();
  });

  const ask = (body: object): Promise<Response> =>
    fetch(`${service.url}/api/normalizations`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...PAIR, template: TEMPLATE, model: 'fast', ...body }),
    });

  it('lists the slides if the request names none, and makes the one that is named', async () => {
    const refused = await ask({});
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({
      code: 'SEVERAL_SLIDES',
      data: { slides: BASES.map((slide) => ({ slide })) },
      remedy: expect.stringContaining('"slide"'),
    });
    const unknown = await ask({ slide: PAIR.studyInstanceUid });
    expect([unknown.status, ((await unknown.json()) as { code: string }).code]).toEqual([
      404,
      'SLIDE_NOT_FOUND',
    ]);

    const created = (await (await ask({ slide: imagesOf('B')[1] })).json()) as Job;
    expect(created.request.slide).toBe(BASE_B);
    const again = await ask({ slide: imagesOf('B')[2] });
    expect([again.status, ((await again.json()) as Job).id]).toEqual([200, created.id]);
    const job = async () =>
      (await (await fetch(`${service.url}/api/normalizations/${created.id}`)).json()) as Job;
    await expect.poll(async () => (await job()).state, { timeout: 60_000 }).toMatch(/COMPLETED|FAILED/);
    const { result } = await job();
    await writeSlides(source, ...BOTH);
    const [byHand] = await normalize({ slide: BASE_B });
    expect(result).toMatchObject({
      seriesInstanceUid: byHand!.seriesInstanceUid,
      sourceSlide: BASE_B,
    });
  });

  it('fits the stain of the slide that is named', async () => {
    const { studyInstanceUid, seriesInstanceUid } = PAIR;
    const address = `${service.url}/api/studies/${studyInstanceUid}/series/${seriesInstanceUid}/stain`;
    const stainOf = async (slide: string) =>
      (await (await fetch(`${address}?slide=${slide}`)).json()) as { glassDensity: number; classes: object };
    const [a, b] = [await stainOf(BASE_A), await stainOf(BASE_B)];
    expect(a.classes).not.toEqual(b.classes);
    expect(await stainOf(imagesOf('B')[1])).toEqual(b);
    expect((await fetch(address)).status).toBe(422);
  });
});
