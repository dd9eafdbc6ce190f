/**
 * What an archive can, as far as reading tells. Everything is asked through the client that jobs use, so that what is worked
 * round here is worked round there; nothing is written.
 */
import type { DataSet } from '../dicom/dataset.ts';
import { StainError } from '../errors.ts';
import { type Habits, type NamedSyntaxes, USUAL } from './archive-habits.ts';
import type { DicomWebClient } from './client.ts';
import { type DicomJson, numberOf, textOf } from './dicom-json.ts';

export interface ArchiveCheck {
  readonly what: string;
  readonly outcome: 'can' | 'worked round' | 'lacking' | 'not tried';
  /** How it is worked round, what it means for users, or why it was not tried; for a person. */
  readonly detail: string;
}

export interface ArchiveProfile {
  /** As it names itself. */
  readonly server: string | undefined;
  /** Nothing that is needed to normalise its slides is lacking; storing is not tried. */
  readonly isUsable: boolean;
  /** Whether there was a slide to try with. */
  readonly hasSlides: boolean;
  readonly checks: readonly ArchiveCheck[];
}

type Finding = Pick<ArchiveCheck, 'outcome' | 'detail'>;

/** With what later checks need. */
interface Found<T> extends Finding {
  readonly value: T;
}

/** A slide of the archive, and its smallest instance. */
interface Sample {
  readonly study: string;
  readonly series: string;
  readonly sop: string;
}

const [STUDY, SERIES] = ['0020000D', '0020000E'] as const;
/** What the archive must show after storing. */
const SHOWN = { Rows: '00280010', Columns: '00280011', NumberOfFrames: '00280008' } as const;
/** Slides that are looked at for one that can be opened. */
const MOST_TRIED = 5;
const COUNTED = 'Series Numbers of results are counted from the number of series.';

/**
 * @param late ends what is under way and leaves out what follows; the profile tells that
 * @throws what the first search throws where neither studies nor series can be searched, and what `signal` is aborted with
 */
export async function profileArchive(
  client: DicomWebClient,
  signal: AbortSignal,
  late: AbortSignal,
): Promise<ArchiveProfile> {
  const checks = new Checks(signal, late);
  const either = AbortSignal.any([signal, late]);
  await checks.run('search for studies', { effect: 'The check of readiness fails.' }, () =>
    searchStudies(client, either),
  );
  const slides = await checks.run(
    'search for slides (modality SM)',
    { isNeeded: true, effect: 'Slides are found by their UIDs only.' },
    () => searchSlides(client, either),
  );
  checks.requireAnswer();
  if (slides) await profileSlides(slides, client, checks, either);
  const { server, json } = client.known();
  checks.add(
    USUAL.json,
    json === USUAL.json ? can() : workedRound(`It gives ${json}, which is read as the same.`),
  );
  checks.add('storing (STOW-RS)', notTried('It would write.'));
  return { server, isUsable: checks.isUsable, hasSlides: (slides?.length ?? 0) > 0, checks: checks.done };
}

async function profileSlides(
  slides: readonly DicomJson[],
  client: DicomWebClient,
  checks: Checks,
  signal: AbortSignal,
): Promise<void> {
  const [slide, second] = slides;
  if (!slide)
    return checks.add(
      'metadata, frames and instances',
      notTried('The archive shows no slide (modality SM) to try with.'),
    );
  if (second)
    await checks.run('pages of a search', { effect: 'Slides beyond the first page are not found.' }, () =>
      searchSecond(slide, client, signal),
    );
  else checks.add('pages of a search', notTried('Two slides are needed to tell.'));
  await checks.run(
    'attributes by includefield',
    { isNeeded: true, effect: 'Results cannot be given a Series Number.' },
    () => includefield(textOf(slide, STUDY)!, client, signal),
  );
  const sample = await checks.run(
    'metadata of a slide',
    { isNeeded: true, effect: 'No slide can be opened.' },
    () => metadata(slides, client, signal),
  );
  if (!sample) return;
  await checks.run('search for instances', { isNeeded: true, effect: 'Results cannot be verified.' }, () =>
    searchInstances(sample, client, signal),
  );
  await checks.run('frames as stored', { effect: 'There are no previews and stains.' }, () =>
    frames(sample, client, signal),
  );
  await checks.run('instances as stored', { isNeeded: true, effect: 'No slide can be fetched.' }, () =>
    instances(sample, client, signal),
  );
}

interface Weight {
  /** Without it no slide is normalised. */
  readonly isNeeded?: boolean;
  /** What users miss where it fails. */
  readonly effect: string;
}

class Checks {
  readonly done: ArchiveCheck[] = [];
  isUsable = true;
  readonly #signal: AbortSignal;
  readonly #late: AbortSignal;
  readonly #errors: unknown[] = [];

  constructor(signal: AbortSignal, late: AbortSignal) {
    this.#signal = signal;
    this.#late = late;
  }

  add(what: string, finding: Finding): void {
    this.done.push({ what, ...finding });
  }

  /** @returns undefined where the check failed */
  async run<T>(
    what: string,
    { isNeeded = false, effect }: Weight,
    check: () => Promise<Finding | Found<T>>,
  ): Promise<T | undefined> {
    const found = await this.#found(effect, check);
    const { outcome, detail } = found;
    this.add(what, { outcome, detail });
    if (isNeeded && outcome !== 'can' && outcome !== 'worked round') this.isUsable = false;
    return 'value' in found ? found.value : undefined;
  }

  /** @throws the first error where every check so far has failed */
  requireAnswer(): void {
    if (this.#errors.length === this.done.length) throw this.#errors[0];
  }

  async #found<T>(effect: string, check: () => Promise<T>): Promise<T | Finding> {
    if (this.#late.aborted) return notTried('The time for all checks was over.');
    try {
      return await check();
    } catch (error) {
      if (this.#signal.aborted || !(error instanceof StainError)) throw error;
      this.#errors.push(error);
      return lacking(`${error.code}: ${error.message} ${effect}`);
    }
  }
}

async function searchStudies(client: DicomWebClient, signal: AbortSignal): Promise<Finding> {
  await client.searchStudies({ limit: 1 }, signal);
  const isUsual = client.known().notFound === USUAL.notFound;
  return isUsual ? can() : workedRound('404 is taken for no match: other searches are answered.');
}

async function searchSlides(client: DicomWebClient, signal: AbortSignal): Promise<Found<DicomJson[]>> {
  const value = await client.searchSeries({ Modality: 'SM' }, signal, { mostResults: 1 });
  const { paging, filters } = client.known();
  const details = [
    ...(paging === 'none' ? ['It takes no limit or no offset; all results are asked for at once.'] : []),
    ...(paging === 'small' ? ['It takes pages of 200 results, no larger ones.'] : []),
    ...(filters ? [] : ['It does not filter by modality; the others are dropped here.']),
  ];
  return { ...(details.length === 0 ? can() : workedRound(details.join(' '))), value };
}

/** The second slide is asked for by its place. */
async function searchSecond(first: DicomJson, client: DicomWebClient, signal: AbortSignal): Promise<Finding> {
  const [second] = await client.searchSeries({ Modality: 'SM', limit: 1, offset: 1 }, signal);
  const isIgnored = second !== undefined && textOf(second, SERIES) === textOf(first, SERIES);
  return isIgnored ? lacking('It ignores offset: slides beyond the first page are not found.') : can();
}

async function includefield(study: string, client: DicomWebClient, signal: AbortSignal): Promise<Finding> {
  const parameters = { StudyInstanceUID: study, includefield: 'SeriesNumber' };
  const series = await client.searchSeries(parameters, signal);
  if (!client.known().includefield) return workedRound(`It refuses the parameter. ${COUNTED}`);
  return series.every((json) => numberOf(json, '00200011') !== undefined)
    ? can()
    : workedRound(`Not every series has one that it tells. ${COUNTED}`);
}

const METADATA: Readonly<Record<Habits['headers'], Finding>> = {
  'series metadata': can(),
  'instance metadata': workedRound('Those of a series are thinned; each instance is asked for its own.'),
  instances: workedRound('They are thinned; the header of each instance is fetched, up to its pixel data.'),
};

/** @throws what the first slide throws where none can be opened */
async function metadata(
  slides: readonly DicomJson[],
  client: DicomWebClient,
  signal: AbortSignal,
): Promise<Finding | Found<Sample>> {
  let failure: unknown;
  for (const slide of slides.slice(0, MOST_TRIED)) {
    const [study, series] = [textOf(slide, STUDY)!, textOf(slide, SERIES)!];
    try {
      const sop = smallest(await client.seriesMetadata(study, series, signal));
      if (sop !== undefined) return { ...METADATA[client.known().headers], value: { study, series, sop } };
    } catch (error) {
      if (signal.aborted) throw error;
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return lacking('No series that it shows as a slide has an image. No slide can be opened.');
}

/** SOP Instance UID of the image with the fewest pixels. */
function smallest(headers: readonly DataSet[]): string | undefined {
  const pixels = (header: DataSet): number =>
    (header.number('NumberOfFrames') ?? 1) * (header.number('Rows') ?? 0) * (header.number('Columns') ?? 0);
  const images = headers.filter((header) => pixels(header) > 0).sort((a, b) => pixels(a) - pixels(b));
  return images[0]?.string('SOPInstanceUID');
}

async function searchInstances(
  { study, series, sop }: Sample,
  client: DicomWebClient,
  signal: AbortSignal,
): Promise<Finding> {
  const includefield = Object.keys(SHOWN);
  const parameters = { StudyInstanceUID: study, SeriesInstanceUID: series, includefield };
  const found = await client.searchInstances(parameters, signal);
  const own = found.find((json) => textOf(json, '00080018') === sop);
  if (!own)
    return lacking('It does not show an instance that its metadata name. Results cannot be verified.');
  return Object.values(SHOWN).every((tag) => numberOf(own, tag) !== undefined)
    ? can()
    : workedRound(
        `It leaves out ${includefield.join(', ')}; after storing, the header of the instance is looked at.`,
      );
}

async function frames(
  { study, series, sop }: Sample,
  client: DicomWebClient,
  signal: AbortSignal,
): Promise<Finding> {
  for await (const _ of client.retrieveFrames(study, series, sop, [1], signal));
  return syntaxes(client.known().frames, 'Previews and stains are slower.');
}

async function instances(
  { study, series, sop }: Sample,
  client: DicomWebClient,
  signal: AbortSignal,
): Promise<Finding> {
  // The first bytes tell; the rest is not fetched.
  for await (const _ of client.retrieveInstance(study, series, sop, signal)) break;
  return syntaxes(client.known().instances, 'Slides take more time and room in the spool.');
}

function syntaxes(named: NamedSyntaxes, effect: string): Finding {
  const findings: Readonly<Record<NamedSyntaxes, Finding>> = {
    any: can(),
    listed: workedRound('It refuses transfer-syntax=*; those that are read here are listed.'),
    none: workedRound(`It takes no transfer syntax and decompresses what it sends. ${effect}`),
  };
  return findings[named];
}

function can(): Finding {
  return { outcome: 'can', detail: '' };
}

function workedRound(detail: string): Finding {
  return { outcome: 'worked round', detail };
}

function lacking(detail: string): Finding {
  return { outcome: 'lacking', detail };
}

function notTried(detail: string): Finding {
  return { outcome: 'not tried', detail };
}
