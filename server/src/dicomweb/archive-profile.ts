/**
 * What an archive supports, as far as reading shows. All requests go through the client that jobs use, so that both use
 * the same workarounds; nothing is written.
 */

import { StainError } from '../../../core/src/errors.ts';
import type { DataSet } from '../dicom/dataset.ts';
import { type DicomJson, numberOf, textOf } from '../dicom/json-model.ts';
import { type Habits, type NamedSyntaxes, USUAL } from './archive-habits.ts';
import type { DicomWebClient } from './client.ts';

export interface ArchiveCheck {
  readonly what: string;
  readonly outcome: 'can' | 'worked round' | 'lacking' | 'not tried';
  /** The workaround, the effect on users, or why it was not tested; for people. */
  readonly detail: string;
}

export interface ArchiveProfile {
  /** The archive's own name. */
  readonly server: string | undefined;
  /** The archive lacks nothing needed to normalise its slides; storing is not tested. */
  readonly isUsable: boolean;
  /** Whether there was a slide to test with. */
  readonly hasSlides: boolean;
  readonly checks: readonly ArchiveCheck[];
}

type Finding = Pick<ArchiveCheck, 'outcome' | 'detail'>;

/** The finding, and what later checks need. */
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
/** Attributes that the archive must return after storing. */
const SHOWN = { Rows: '00280010', Columns: '00280011', NumberOfFrames: '00280008' } as const;
/** Maximum number of slides to try to open. */
const MAX_TRIED = 5;
const COUNTED = 'Series Numbers of results continue from the number of series.';

/**
 * @param late ends the check in progress and skips the rest; the profile says so
 * @throws the error of the first search if neither studies nor series can be searched, and the reason of `signal`
 */
export async function profileArchive(
  client: DicomWebClient,
  signal: AbortSignal,
  late: AbortSignal,
): Promise<ArchiveProfile> {
  const checks = new Checks(signal, late);
  const either = AbortSignal.any([signal, late]);
  await checks.run('search for studies', { effect: 'The readiness check fails.' }, () =>
    searchStudies(client, either),
  );
  const slides = await checks.run(
    'search for slides (modality SM)',
    { isNeeded: true, effect: 'Slides can be found only by their UIDs.' },
    () => searchSlides(client, either),
  );
  checks.requireAnswer();
  if (slides) await profileSlides(slides, client, checks, either);
  const { server, json } = client.known();
  checks.add(
    USUAL.json,
    json === USUAL.json ? can() : workedRound(`It returns ${json}, which is read in the same way.`),
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
      notTried('The archive has no slide (modality SM) to test with.'),
    );
  if (second)
    await checks.run('pages of a search', { effect: 'Slides beyond the first page are not found.' }, () =>
      searchSecond(slide, client, signal),
    );
  else checks.add('pages of a search', notTried('This check needs two slides.'));
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
  await checks.run('frames as stored', { effect: 'Previews and stains are not available.' }, () =>
    frames(sample, client, signal),
  );
  await checks.run('instances as stored', { isNeeded: true, effect: 'No slide can be fetched.' }, () =>
    instances(sample, client, signal),
  );
}

interface Weight {
  /** If true, no slide can be normalised without it. */
  readonly isNeeded?: boolean;
  /** What users lose if the check fails. */
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

  /** @returns undefined if the check failed */
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

  /** @throws the first error if every check so far has failed */
  requireAnswer(): void {
    if (this.#errors.length === this.done.length) throw this.#errors[0];
  }

  async #found<T>(effect: string, check: () => Promise<T>): Promise<T | Finding> {
    if (this.#late.aborted) return notTried('The time limit for all checks had passed.');
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
  return isUsual ? can() : workedRound('404 is treated as no match, because other searches are answered.');
}

async function searchSlides(client: DicomWebClient, signal: AbortSignal): Promise<Found<DicomJson[]>> {
  const value = await client.searchSeries({ Modality: 'SM' }, signal, { maxResults: 1 });
  const { paging, filters } = client.known();
  const details = [
    ...(paging === 'none' ? ['It does not support limit or offset; all results are requested at once.'] : []),
    ...(paging === 'small' ? ['It supports pages of at most 200 results.'] : []),
    ...(filters ? [] : ['It does not filter by modality; other series are dropped here.']),
  ];
  return { ...(details.length === 0 ? can() : workedRound(details.join(' '))), value };
}

/** Requests the second slide by its offset. */
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
    : workedRound(`It does not return one for every series. ${COUNTED}`);
}

const METADATA: Readonly<Record<Habits['headers'], Finding>> = {
  'series metadata': can(),
  'instance metadata': workedRound(
    'The metadata of a series are incomplete; the metadata of each instance are requested.',
  ),
  instances: workedRound(
    'They are incomplete; the header of each instance is fetched, up to its pixel data.',
  ),
};

/** @throws the error of the first slide if none can be opened */
async function metadata(
  slides: readonly DicomJson[],
  client: DicomWebClient,
  signal: AbortSignal,
): Promise<Finding | Found<Sample>> {
  let failure: unknown;
  for (const slide of slides.slice(0, MAX_TRIED)) {
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
  return lacking('No series that it lists as a slide has an image. No slide can be opened.');
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
    return lacking('It does not find an instance that its metadata name. Results cannot be verified.');
  return Object.values(SHOWN).every((tag) => numberOf(own, tag) !== undefined)
    ? can()
    : workedRound(`It omits ${includefield.join(', ')}; after storing, the header of the instance is read.`);
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
  // The first bytes suffice; the rest is not fetched.
  for await (const _ of client.retrieveInstance(study, series, sop, signal)) break;
  return syntaxes(client.known().instances, 'Slides take more time and room in the spool.');
}

function syntaxes(named: NamedSyntaxes, effect: string): Finding {
  const findings: Readonly<Record<NamedSyntaxes, Finding>> = {
    any: can(),
    listed: workedRound('It refuses transfer-syntax=*; requests list the readable transfer syntaxes.'),
    none: workedRound(`It accepts no transfer syntax and decompresses what it sends. ${effect}`),
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
