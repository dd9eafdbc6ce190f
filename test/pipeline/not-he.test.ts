/**
 * A slide that is not H&E is refused wherever it would be recoloured, unless the request allows any stain; then the
 * derived header says so.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toStainError } from '../../core/src/errors.ts';
import { normalizeImageCommand } from '../../server/src/cli/image-commands.ts';
import { type NormalizeAllResult, normalizeAllCommand } from '../../server/src/cli/normalize-all-command.ts';
import { type Normalized, normalizeOnce } from '../../server/src/cli/normalize-once.ts';
import { templateAddCommand } from '../../server/src/cli/template-command.ts';
import { writeImage } from '../../server/src/codec/image-file.ts';
import { DataSet } from '../../server/src/dicom/dataset.ts';
import { Looks } from '../../server/src/pipeline/looks.ts';
import type { SlideReference } from '../../server/src/pipeline/series-reference.ts';
import { stainService } from '../../server/src/wiring/stain-service.ts';
import { brown } from '../support/brown.ts';
import { createWorkplace, TEMPLATE, type Workplace } from '../support/normalize.ts';
import type { StorableSlide } from '../support/storable.ts';
import { tissue } from '../support/tissue.ts';
import { tissueSlide } from '../support/tissue-slide.ts';

const { signal } = new AbortController();
let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace({ STAIN_JOBS_STABLE_SECONDS: '0' });
});
afterAll(() => place[Symbol.asyncDispose]());

const code = (CodeValue: string, CodingSchemeDesignator: string, CodeMeaning: string): DataSet =>
  DataSet.of({ CodeValue, CodingSchemeDesignator, CodeMeaning });
/** Attributes that declare these stains, by code. */
const declared = (...stains: DataSet[]) => ({
  SpecimenDescriptionSequence: [
    DataSet.of({
      SpecimenIdentifier: 'specimen',
      SpecimenUID: '2.25.77',
      IssuerOfTheSpecimenIdentifierSequence: [],
      SpecimenPreparationSequence: [
        DataSet.of({
          SpecimenPreparationStepContentItemSequence: stains.map((stain) =>
            DataSet.of({
              ValueType: 'CODE',
              ConceptNameCodeSequence: [code('424361007', 'SCT', 'Using substance')],
              ConceptCodeSequence: [stain],
            }),
          ),
        }),
      ],
    }),
  ],
});
const HE = declared(
  code('12710003', 'SCT', 'hematoxylin stain'),
  code('36879007', 'SCT', 'water soluble eosin stain'),
);
const PAS = declared(code('255808002', 'SCT', 'periodic acid Schiff stain'));

const SLIDES = {
  he: tissueSlide('he', { overrides: HE }),
  /** Brown pixels under a header that says H&E. */
  stamped: tissueSlide('stamped', { overrides: HE }, brown),
  /** H&E pixels under a header that says PAS. */
  pas: tissueSlide('pas', { overrides: PAS }),
};

const referenceOf = ({ studyUid, seriesUid }: StorableSlide): SlideReference => ({
  studyInstanceUid: studyUid,
  seriesInstanceUid: seriesUid,
});

async function folderOf(name: string, ...slides: StorableSlide[]): Promise<string> {
  const folder = join(place.folder, name);
  await mkdir(folder, { recursive: true });
  for (const slide of slides) await writeFile(join(folder, `${slide.seriesUid}.dcm`), slide.bytes);
  return folder;
}

async function normalize(slide: StorableSlide, to: string, changes: { anyStain?: true } = {}) {
  await using source = await place.open(await folderOf(`only-${slide.seriesUid}`, slide));
  await using destination = await place.open(join(place.folder, to));
  const environment = place.composition.environment({
    source: source.client,
    destination: destination.client,
  });
  const request = {
    ...referenceOf(slide),
    template: TEMPLATE,
    model: 'fast',
    transfer: 'linear' as const,
    encoding: 'jpeg' as const,
    quality: 90,
    ...changes,
  };
  const result: Normalized = await normalizeOnce(request, environment, { signal, onProgress: () => {} });
  if ('existing' in result) throw new Error('It was made before.');
  const [header] = await destination.client.seriesMetadata(
    result.studyInstanceUid,
    result.seriesInstanceUid,
    signal,
  );
  return { result, header: header! };
}

const refusal = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (thrown: unknown) => toStainError(thrown),
  );

describe('a job', () => {
  it('normalises H&E', async () => {
    const { result, header } = await normalize(SLIDES.he, 'results-he');
    expect(result.outOfDistribution).toMatchObject({ verdict: 'he', reasons: [] });
    expect(header.string('DerivationDescription')).not.toContain('not H&E');
  });

  it('is refused because of its pixels, whatever the header says, with what was seen', async () => {
    const error = await refusal(normalize(SLIDES.stamped, 'results-stamped'));
    expect(error).toMatchObject({ code: 'STAIN_NOT_HE', status: 422, data: { seen: 'pixels' } });
    expect(error!.message).toMatch(/brown/);
  });

  it('is refused because of its header before any pixel is read', async () => {
    const error = await refusal(normalize(SLIDES.pas, 'results-pas'));
    expect(error).toMatchObject({ code: 'STAIN_NOT_HE', data: { seen: 'header' } });
    expect(error!.message).toContain('periodic acid-Schiff (PAS)');
  });

  it.each([
    ['stamped', 'NOT_HE_BY_PIXELS'],
    ['pas', 'NOT_HE_BY_HEADER'],
  ] as const)('of %s is done when any stain is allowed, and says so', async (name, said) => {
    const { result, header } = await normalize(SLIDES[name], `results-any-${name}`, { anyStain: true });
    const codes = result.notes.map(({ code }) => code);
    expect(codes).toContain(said);
    expect(codes).not.toContain('OTHER');
    expect(header.string('DerivationDescription')).toContain('The slide is not H&E');
  });

  it('of H&E makes a different series if any stain is allowed, because its header may say otherwise', async () => {
    const plain = await normalize(SLIDES.he, 'results-plain');
    const allowed = await normalize(SLIDES.he, 'results-allowed', { anyStain: true });
    expect(allowed.result.seriesInstanceUid).not.toBe(plain.result.seriesInstanceUid);
    expect(allowed.result.notes.map(({ code }) => code).join()).not.toContain('NOT_HE');
  });
});

it('a batch continues after slides that are not H&E', async () => {
  const source = await folderOf('batch', SLIDES.stamped, SLIDES.he, SLIDES.pas);
  const run = (anyStain?: true): Promise<NormalizeAllResult> =>
    normalizeAllCommand(
      {
        source,
        destination: join(place.folder, `batch-results-${anyStain}`),
        template: TEMPLATE,
        model: 'fast',
        transfer: 'linear',
        query: [],
        anyStain,
      },
      place.composition,
      signal,
    );
  const stateOf = ({ series }: NormalizeAllResult, slide: StorableSlide) =>
    series.find(({ seriesInstanceUid }) => seriesInstanceUid === slide.seriesUid);
  const refused = await run();
  expect(stateOf(refused, SLIDES.he)).toMatchObject({ state: 'COMPLETED' });
  expect(stateOf(refused, SLIDES.stamped)).toMatchObject({ state: 'FAILED', code: 'STAIN_NOT_HE' });
  expect(stateOf(refused, SLIDES.pas)).toMatchObject({ state: 'FAILED', code: 'STAIN_NOT_HE' });
  expect((await run(true)).failed).toBe(0);
});

describe('reading a slide', () => {
  it.each(['stamped', 'pas'] as const)('makes no preview of %s, and no template', async (name) => {
    await using archive = await place.open(await folderOf(`look-${name}`, SLIDES[name]));
    const environment = place.composition.environment({
      source: archive.client,
      destination: archive.client,
    });
    const templates = {
      list: async () => [],
      requireRoom: async () => {},
      add: () => Promise.reject(new Error('A template was made.')),
    };
    const service = stainService(
      place.composition,
      () => environment,
      new Looks(place.composition.config.limits),
      templates as never,
    );
    const wanted = {
      ...referenceOf(SLIDES[name]),
      template: TEMPLATE,
      model: 'fast',
      transfer: 'linear' as const,
      region: { x: 0, y: 0, width: 256, height: 256 },
      size: 256,
    };
    const preview = (anyStain?: boolean) =>
      service.preview({ ...wanted, ...(anyStain && { anyStain }) }, 'somebody', signal);
    expect(await refusal(preview())).toMatchObject({ code: 'STAIN_NOT_HE' });
    expect((await preview(true)).length).toBeGreaterThan(1000);
    const template = {
      ...referenceOf(SLIDES[name]),
      name: 'Brown',
      description: '',
      licence: 'private',
      model: 'fast',
      replace: false,
    };
    const made = service.createTemplate(
      template,
      { id: 'somebody', isAdministrator: false } as never,
      signal,
    );
    expect(await refusal(made)).toMatchObject({ code: 'STAIN_NOT_HE' });
  });
});

describe('a picture', () => {
  const file = (name: string): string => join(place.folder, name);
  const run = (input: string, template: string, anyStain?: true) =>
    normalizeImageCommand(
      { input, output: file('out.png'), template, model: 'fast', transfer: 'linear', anyStain },
      place.composition,
      signal,
    );
  beforeAll(async () => {
    const picture = tissue(256, 256, { part: 0.8 });
    await writeImage(file('he.png'), picture);
    await writeImage(file('dab.png'), { ...picture, rgb: brown(picture.rgb) });
  });

  it('is refused, and nothing is written', async () => {
    expect(await refusal(run(file('dab.png'), TEMPLATE))).toMatchObject({ code: 'STAIN_NOT_HE' });
    await expect(readFile(file('out.png'))).rejects.toThrow('ENOENT');
  });

  it('does not become a template', async () => {
    expect(await refusal(run(file('he.png'), file('dab.png')))).toMatchObject({ code: 'STAIN_NOT_HE' });
    const args = {
      id: 'brown',
      source: [file('dab.png')],
      name: 'Brown',
      licence: 'private',
      model: 'fast',
      replace: false,
    };
    const made = templateAddCommand(args, place.composition, signal);
    expect(await refusal(made)).toMatchObject({ code: 'STAIN_NOT_HE' });
  });

  it('is normalised when any stain is allowed', async () => {
    expect(await run(file('dab.png'), TEMPLATE, true)).toMatchObject({ width: 256 });
  });
});
