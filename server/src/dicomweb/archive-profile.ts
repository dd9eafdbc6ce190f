/**
 * What an archive can, as far as reading tells. Everything is asked through the client that jobs use, so that what is worked
 * round here is worked round there; nothing is written.
 */
import type { DataSet } from '../dicom/dataset.ts';
import { StainError } from '../errors.ts';
import { type Habits, type NamedSyntaxes, USUAL } from './archive-habits.ts';
import type { DicomWebClient } from './client.ts';
import { type DicomJson, numberOf, textOf } from './dicom-json.ts';

export type CheckOutcome = 'can' | 'worked round' | 'lacking' | 'not tried';

export interface ArchiveCheck {
  readonly what: string;
  readonly outcome: CheckOutcome;
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

/** What a check found besides that it can: something that is worked round, or that users will miss. */
interface Finding {
  readonly outcome: Exclude<CheckOutcome, 'not tried'>;
  readonly detail: string;
}

interface Check {
  readonly what: string;
  /** Without it no slide is normalised. */
  readonly isNeeded: boolean;
  /** What users miss where it fails. */
  readonly effect: string;
  readonly run: () => Promise<Finding>;
}

/** A slide of the archive, and its smallest instance. */
interface Sample {
  readonly study: string;
  readonly series: string;
  readonly sop: string;
}

/** Slides that are looked at for one that can be opened. */
const MOST_TRIED = 5;
const SHOWN = ['Rows', 'Columns', 'NumberOfFrames'];
const SHOWN_TAGS = ['00280010', '00280011', '00280008'];

/**
 * @param late ends what is under way and leaves out what follows; the profile tells that
 * @throws what the first search throws where neither studies nor series can be searched, and what `signal` is aborted with
 */
export async function profileArchive(
  client: DicomWebClient,
  signal: AbortSignal,
  late: AbortSignal,
): Promise<ArchiveProfile> {
  const either = AbortSignal.any([signal, late]);
  const checks: ArchiveCheck[] = [];
  let isUsable = true;
  const failures: unknown[] = [];
  const check = async ({ what, isNeeded, effect, run }: Check): Promise<boolean> => {
    if (late.aborted) {
      checks.push({ what, outcome: 'not tried', detail: 'The time for all checks was over.' });
      isUsable &&= !isNeeded;
      return false;
    }
    try {
      const finding = await run();
      checks.push({ what, ...finding });
      if (finding.outcome === 'lacking') isUsable &&= !isNeeded;
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      failures.push(error);
      checks.push({ what, outcome: 'lacking', detail: `${messageOf(error)} ${effect}` });
      isUsable &&= !isNeeded;
      return false;
    }
  };

  const hasStudies = await check(searchStudies(client, either));
  let slides: readonly DicomJson[] = [];
  const hasSeries = await check(
    searchSlides(client, either, (found) => {
      slides = found;
    }),
  );
  if (!hasStudies && !hasSeries) throw failures[0];
  if (slides.length > 1) await check(offsetOf(client, slides, either));
  else if (hasSeries)
    checks.push({ what: PAGES, outcome: 'not tried', detail: 'Two slides are needed to tell.' });

  const [slide] = slides;
  if (slide) {
    await check(includefield(client, textOf(slide, STUDY)!, either));
    let sample: Sample | undefined;
    await check(
      metadata(client, slides, either, (found) => {
        sample = found;
      }),
    );
    if (sample) {
      await check(searchInstances(client, sample, either));
      await check(frames(client, sample, either));
      await check(instances(client, sample, either));
    }
  } else if (hasSeries)
    checks.push({
      what: 'metadata, frames and instances',
      outcome: 'not tried',
      detail: 'The archive shows no slide (modality SM) to try with.',
    });
  const known = client.known();
  checks.push(mediaType(known), {
    what: 'storing (STOW-RS)',
    outcome: 'not tried',
    detail: 'It would write.',
  });
  return { server: known.server, isUsable, hasSlides: slides.length > 0, checks };
}

const [STUDY, SERIES] = ['0020000D', '0020000E'] as const;
const PAGES = 'pages of a search';

function can(detail = ''): Finding {
  return { outcome: 'can', detail };
}

function workedRound(detail: string): Finding {
  return { outcome: 'worked round', detail };
}

function lacking(detail: string): Finding {
  return { outcome: 'lacking', detail };
}

function messageOf(error: unknown): string {
  if (error instanceof StainError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}

function searchStudies(client: DicomWebClient, signal: AbortSignal): Check {
  return {
    what: 'search for studies',
    isNeeded: false,
    effect: 'The check of readiness fails.',
    async run() {
      await client.searchStudies({ limit: 1 }, signal);
      return client.known().notFound === USUAL.notFound
        ? can()
        : workedRound('404 is taken for no match, since other searches are answered.');
    },
  };
}

function searchSlides(
  client: DicomWebClient,
  signal: AbortSignal,
  onFound: (slides: readonly DicomJson[]) => void,
): Check {
  return {
    what: 'search for slides (modality SM)',
    isNeeded: true,
    effect: 'Slides are found by their UIDs only.',
    async run() {
      const found = await client.searchSeries({ Modality: 'SM' }, signal, { mostResults: 1 });
      onFound(found);
      const { paging, filters } = client.known();
      if (paging === 'none') return workedRound('It takes no limit; all results are asked for at once.');
      if (!filters) return workedRound('It does not filter by modality; the others are dropped here.');
      return paging === 'small' ? workedRound('It takes pages of 200 results, no larger ones.') : can();
    },
  };
}

/** The second result is asked for by its place. */
function offsetOf(client: DicomWebClient, slides: readonly DicomJson[], signal: AbortSignal): Check {
  return {
    what: PAGES,
    isNeeded: false,
    effect: 'Slides beyond the first page are not found.',
    async run() {
      if (client.known().paging === 'none') return can('None are needed.');
      const [second] = await client.searchSeries({ Modality: 'SM', limit: 1, offset: 1 }, signal);
      if (second === undefined || textOf(second, SERIES) !== textOf(slides[0]!, SERIES)) return can();
      return lacking('It ignores offset: slides beyond the first page are not found.');
    },
  };
}

function includefield(client: DicomWebClient, study: string, signal: AbortSignal): Check {
  return {
    what: 'attributes by includefield',
    isNeeded: true,
    effect: 'Results cannot be given a Series Number.',
    async run() {
      const parameters = { StudyInstanceUID: study, includefield: 'SeriesNumber' };
      const series = await client.searchSeries(parameters, signal);
      const counted = 'Series Numbers of results are counted from the number of series.';
      if (!client.known().includefield) return workedRound(`It refuses the parameter. ${counted}`);
      return series.every((json) => numberOf(json, '00200011') !== undefined)
        ? can()
        : workedRound(`It does not tell every Series Number. ${counted}`);
    },
  };
}

function metadata(
  client: DicomWebClient,
  slides: readonly DicomJson[],
  signal: AbortSignal,
  onSample: (sample: Sample) => void,
): Check {
  return {
    what: 'metadata of a slide',
    isNeeded: true,
    effect: 'No slide can be opened.',
    async run() {
      let first: unknown;
      for (const slide of slides.slice(0, MOST_TRIED)) {
        const [study, series] = [textOf(slide, STUDY)!, textOf(slide, SERIES)!];
        try {
          const sop = smallest(await client.seriesMetadata(study, series, signal));
          if (sop === undefined) continue;
          onSample({ study, series, sop });
          return METADATA[client.known().headers];
        } catch (error) {
          if (signal.aborted) throw error;
          first ??= error;
        }
      }
      if (first !== undefined) throw first;
      return lacking('No series that it shows as a slide has an image that can be tried.');
    },
  };
}

const METADATA: Readonly<Record<Habits['headers'], Finding>> = {
  'series metadata': can(),
  'instance metadata': workedRound('Those of a series are thinned; each instance is asked for its own.'),
  instances: workedRound('They are thinned; the header of each instance is fetched, up to its pixel data.'),
};

/** SOP Instance UID of the image with the fewest pixels. */
function smallest(headers: readonly DataSet[]): string | undefined {
  const pixels = (header: DataSet): number =>
    (header.number('NumberOfFrames') ?? 1) * (header.number('Rows') ?? 0) * (header.number('Columns') ?? 0);
  const images = headers.filter((header) => pixels(header) > 0).sort((a, b) => pixels(a) - pixels(b));
  return images[0]?.string('SOPInstanceUID');
}

function searchInstances(client: DicomWebClient, { study, series, sop }: Sample, signal: AbortSignal): Check {
  return {
    what: 'search for instances',
    isNeeded: true,
    effect: 'Results cannot be verified.',
    async run() {
      const parameters = { StudyInstanceUID: study, SeriesInstanceUID: series, includefield: SHOWN };
      const found = await client.searchInstances(parameters, signal);
      const own = found.find((json) => textOf(json, '00080018') === sop);
      if (!own)
        return lacking('It does not show an instance that its metadata name: results cannot be verified.');
      return SHOWN_TAGS.every((tag) => numberOf(own, tag) !== undefined)
        ? can()
        : workedRound(
            `It leaves out ${SHOWN.join(', ')}; after storing, the header of the instance is looked at.`,
          );
    },
  };
}

function frames(client: DicomWebClient, { study, series, sop }: Sample, signal: AbortSignal): Check {
  return {
    what: 'frames as stored',
    isNeeded: false,
    effect: 'There are no previews and stains.',
    async run() {
      for await (const _ of client.retrieveFrames(study, series, sop, [1], signal));
      return syntaxes(client.known().frames, 'Previews and stains are slower.');
    },
  };
}

function instances(client: DicomWebClient, { study, series, sop }: Sample, signal: AbortSignal): Check {
  return {
    what: 'instances as stored',
    isNeeded: true,
    effect: 'No slide can be fetched.',
    async run() {
      // The first bytes tell; the rest is not fetched.
      for await (const _ of client.retrieveInstance(study, series, sop, signal)) break;
      return syntaxes(client.known().instances, 'Slides take more time and room in the spool.');
    },
  };
}

function syntaxes(named: NamedSyntaxes, effect: string): Finding {
  if (named === 'any') return can();
  return named === 'listed'
    ? workedRound('It refuses transfer-syntax=*; those that are read here are listed.')
    : workedRound(`It takes no transfer syntax and decompresses what it sends. ${effect}`);
}

function mediaType({ json }: Habits): ArchiveCheck {
  const finding = json === USUAL.json ? can() : workedRound(`It gives ${json}, which is read as the same.`);
  return { what: USUAL.json, ...finding };
}
