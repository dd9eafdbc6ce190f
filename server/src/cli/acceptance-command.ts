/**
 * `acceptance SOURCE`: draws some slides of each scanner, fits them, and writes what a site needs to accept the
 * normalisation: a page to sign and the same as data. Nothing is stored in the archive.
 */
import { readdir, rm, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { withDeadline } from '../../../core/src/abortable.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import { noteOf } from '../../../core/src/notes.ts';
import { requireTemplateOf, versionOf } from '../../../core/src/stain/template.ts';
import type { TransferName } from '../../../core/src/stain/transfer-name.ts';
import {
  type AcceptanceDocument,
  acceptable,
  newDocument,
  readAcceptance,
  type SlideRecord,
  writeAcceptance,
} from '../acceptance/document.ts';
import { isRefusal, measureSlide, type Normalization } from '../acceptance/measure-slide.ts';
import { acceptancePage, driftText, type PageSlide, rateText } from '../acceptance/page.ts';
import { inSeededOrder } from '../acceptance/random.ts';
import { SCANNER_TAGS, type Scanner, scannerKey, scannerName, scannerOf } from '../acceptance/scanner.ts';
import { type ScannerSlides, scannerRecord } from '../acceptance/scanner-record.ts';
import { csvLine } from '../http/csv.ts';
import { makeFolder } from '../make-folder.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import { inspectSlides } from '../pipeline/inspect-series.ts';
import type { SeriesReference } from '../pipeline/series-reference.ts';
import { type Arrival, keyOf, readHeader, searchArrivals } from '../rules/arrivals.ts';
import { type ArchiveLocation, openArchiveLocation } from '../wiring/archive-location.ts';
import type { Composition } from '../wiring/composition.ts';
import { describeLeftOut } from './left-out-files.ts';
import { parseQuery } from './series-query.ts';
import { shellWord, terminalName } from './terminal-text.ts';

/** Headers are read to tell scanners apart: of at most this many series, drawn at random if there are more. */
const MAX_READ = 5000;
const READS_AT_ONCE = 4;
const MAX_SCANNERS = 100;
/** Slides of a scanner that the page shows; the figures are of all. */
const MAX_SHOWN = 20;

export const ACCEPTANCE_FILE = 'acceptance.json';
const PAGE_FILE = 'acceptance.html';
const SLIDES_FILE = 'slides.csv';

export interface AcceptanceArguments {
  readonly source: string;
  readonly template: string;
  readonly model: string;
  readonly transfer: TransferName;
  readonly perScanner: number;
  readonly seed: number;
  /** Keyword=Value, as in QIDO-RS. */
  readonly query: readonly string[];
  readonly baseline?: string | undefined;
  readonly out?: string | undefined;
}

export interface AcceptanceResult {
  readonly folder: string;
  readonly document: AcceptanceDocument;
}

const COLUMNS = [
  'scanner',
  'number',
  'studyInstanceUid',
  'seriesInstanceUid',
  'slide',
  'state',
  'code',
  'message',
  'file',
] as const;

/** What the site keeps to itself: which slide is which. */
interface SlideLine extends SeriesReference {
  readonly scanner: number;
  readonly number: number;
  readonly slide: string | null;
  readonly state: string;
  readonly code: string | null;
  readonly message: string | null;
}

interface Group {
  readonly scanner: Scanner;
  readonly series: SeriesReference[];
}

/** @throws SERIES_NOT_FOUND, REQUEST_INVALID, ACCEPTANCE_INVALID for the baseline, and errors of the archive */
export async function acceptanceCommand(
  args: AcceptanceArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<AcceptanceResult> {
  const parameters = parseQuery(args.query);
  const network = await composition.network(args.model);
  const template = versionOf(await composition.templates.get(args.template));
  requireTemplateOf(template, network.model);
  const { model } = network;
  const baseline = args.baseline === undefined ? undefined : await readAcceptance(args.baseline);
  if (baseline && baseline.content.model.sha256 !== model.sha256)
    throw new StainError(
      'REQUEST_INVALID',
      `The baseline was made with the model "${baseline.content.model.name}" ${baseline.content.model.version}, whose figures cannot be compared with those of "${model.name}" ${model.version}.`,
    );
  const createdAt = new Date().toISOString();
  const folder = args.out ?? `acceptance-${createdAt.slice(0, 10)}`;
  // Before the hours of work, not after them.
  const isNew = await makeEmptyFolder(folder);
  try {
    await using source = await openArchiveLocation(args.source, composition.config, { create: false });
    process.stderr.write(describeLeftOut(source.leftOut, { names: true }));
    const all = await searchArrivals(source.client, parameters, [], signal);
    if (all.length === 0)
      throw new StainError('SERIES_NOT_FOUND', 'The source has no matching whole-slide series.');
    const arrivals = inSeededOrder(all, keyOf, args.seed).slice(0, MAX_READ);
    const { groups, read, fault } = await groupByScanner(arrivals, source.client, signal);
    if (groups.length > MAX_SCANNERS)
      throw new StainError(
        'REQUEST_INVALID',
        `The slides are of ${groups.length} scanners; at most ${MAX_SCANNERS} are looked at. Narrow the search with --query.`,
      );
    if (read === 0) throw fault;
    const { fitTimeoutSeconds } = composition.config.limits;
    const environment = composition.environment({ source: source.client, destination: source.client });
    const normalization = { network, template, transfer: args.transfer };
    const lines: (SlideLine & { readonly file: string | null })[] = [];
    const shown = new Map<number, Map<number, PageSlide>>();
    const records = [];
    for (const [i, group] of groups.entries()) {
      const number = i + 1;
      process.stderr.write(
        `Scanner ${number} of ${groups.length}: ${terminalName(scannerName(group.scanner))}\n`,
      );
      const drawn = await measureGroup(
        number,
        group,
        args,
        normalization,
        environment,
        fitTimeoutSeconds,
        signal,
      );
      lines.push(...drawn.lines.map((line) => ({ ...line, file: fileOf(line, source) })));
      shown.set(number, drawn.pages);
      records.push(scannerRecord(drawn, baseline?.content, args.seed));
    }
    const document = newDocument({
      createdAt,
      software: environment.softwareVersions.slice(),
      model: { name: model.name, version: model.version, sha256: model.sha256 },
      template: { id: template.id, sha256: template.sha256 },
      transfer: args.transfer,
      seed: args.seed,
      perScanner: args.perScanner,
      series: { found: all.length, read },
      baseline: baseline ? { createdAt: baseline.content.createdAt, sha256: baseline.sha256 } : null,
      scanners: records,
    });
    const mode = { mode: 0o600 };
    await writeFile(
      join(folder, SLIDES_FILE),
      [COLUMNS, ...lines.map((line) => COLUMNS.map((column) => line[column]))].map(csvLine).join(''),
      mode,
    );
    await writeFile(join(folder, PAGE_FILE), acceptancePage(document, shown), mode);
    // Last, so that it is there only if all of it is.
    await writeAcceptance(join(folder, ACCEPTANCE_FILE), document);
    return { folder, document };
  } catch (error) {
    for (const file of [ACCEPTANCE_FILE, PAGE_FILE, SLIDES_FILE])
      await rm(join(folder, file), { force: true });
    if (isNew) await rmdir(folder);
    throw error;
  }
}

/** Null unless the source is a folder. */
function fileOf(line: SlideLine, source: ArchiveLocation): string | null {
  return source.fileOf?.({ ...line, slide: line.slide ?? undefined }) ?? null;
}

/** @returns whether it is new @throws REQUEST_INVALID if it cannot be made, or is not empty */
async function makeEmptyFolder(folder: string): Promise<boolean> {
  try {
    const isNew = await makeFolder(folder, 0o700);
    if ((await readdir(folder)).length === 0) return isNew;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new StainError('REQUEST_INVALID', `The folder "${folder}" cannot be made (${code}).`, { cause });
  }
  throw new StainError(
    'REQUEST_INVALID',
    `The folder "${folder}" is not empty. Name a new one with --out: an acceptance is never overwritten.`,
  );
}

/** Groups in the order of their names; within one, series keep their order. */
async function groupByScanner(
  arrivals: readonly Arrival[],
  client: ArchiveLocation['client'],
  signal: AbortSignal,
): Promise<{ readonly groups: Group[]; readonly read: number; readonly fault: unknown }> {
  process.stderr.write(`Reading the headers of ${arrivals.length} series ...\n`);
  const groups = new Map<string, Group>();
  let [read, fault]: [number, unknown] = [0, undefined];
  for (let at = 0; at < arrivals.length; at += READS_AT_ONCE) {
    const some = arrivals.slice(at, at + READS_AT_ONCE);
    const headers = await Promise.allSettled(
      some.map((arrival) => readHeader(client, arrival, SCANNER_TAGS, signal)),
    );
    signal.throwIfAborted();
    for (const [i, header] of headers.entries()) {
      if (header.status === 'rejected') {
        fault ??= header.reason;
        continue;
      }
      read++;
      const scanner = scannerOf(header.value);
      const key = scannerKey(scanner);
      const group = groups.get(key) ?? { scanner, series: [] };
      group.series.push(some[i]!);
      groups.set(key, group);
    }
  }
  const byName = [...groups.values()].sort((a, b) =>
    scannerName(a.scanner) < scannerName(b.scanner) ? -1 : 1,
  );
  return { groups: byName, read, fault };
}

/** Fits the first slides of a scanner. @throws only if the command is to end */
async function measureGroup(
  number: number,
  { scanner, series }: Group,
  args: Pick<AcceptanceArguments, 'perScanner' | 'seed'>,
  normalization: Normalization,
  environment: NormalizationEnvironment,
  seconds: number,
  signal: AbortSignal,
): Promise<ScannerSlides & { readonly lines: SlideLine[]; readonly pages: Map<number, PageSlide> }> {
  const slides: SlideRecord[] = [];
  const lines: SlideLine[] = [];
  const pages = new Map<number, PageSlide>();
  const drawn = series.slice(0, args.perScanner);
  const deadline = {
    seconds,
    late: () => new StainError('FIT_TIMED_OUT', `The slide was not fitted within ${seconds} s.`),
  };
  for (const [i, { studyInstanceUid, seriesInstanceUid }] of drawn.entries()) {
    const slideNumber = i + 1;
    const reference: { slide?: string } & SeriesReference = { studyInstanceUid, seriesInstanceUid };
    let fault: StainError | undefined;
    let record: Omit<SlideRecord, 'number'> = NOTHING_KNOWN;
    try {
      const found = await withDeadline(deadline, signal, async (inTime) => {
        const slide = await chooseSlide(reference, environment, args.seed, inTime);
        if (slide !== undefined) reference.slide = slide;
        return measureSlide(reference, normalization, environment, i < MAX_SHOWN, inTime);
      });
      if ('refusal' in found) {
        fault = found.refusal;
        if (found.thumbnail) pages.set(slideNumber, { thumbnail: found.thumbnail });
      } else {
        const { score, notes, colourPolicy, stain, distance, pictures } = found;
        record = {
          state: 'FITTED',
          code: null,
          notes: notes.map(told),
          score,
          colourPolicy,
          stain,
          distance,
        };
        if (pictures) pages.set(slideNumber, { pictures });
      }
    } catch (thrown) {
      signal.throwIfAborted();
      fault = toStainError(thrown);
    }
    if (fault) {
      const state = isRefusal(fault) ? 'REFUSED' : 'FAILED';
      record = { ...NOTHING_KNOWN, state, code: fault.code, notes: reasonsOf(fault).map(told) };
    }
    const { state, code } = record;
    process.stderr.write(`  ${slideNumber} of ${drawn.length}  ${code ?? 'fitted'}\n`);
    slides.push({ number: slideNumber, ...record });
    lines.push({
      scanner: number,
      number: slideNumber,
      studyInstanceUid,
      seriesInstanceUid,
      slide: reference.slide ?? null,
      state,
      code,
      message: fault?.message ?? null,
    });
  }
  return { number, scanner, found: series.length, slides, lines, pages };
}

const NOTHING_KNOWN: Omit<SlideRecord, 'number'> = {
  state: 'FAILED',
  code: null,
  notes: [],
  score: null,
  colourPolicy: null,
  stain: null,
  distance: null,
};

/** Of several slides in a series, one at random. @throws the refusal of the slide */
async function chooseSlide(
  series: SeriesReference,
  environment: NormalizationEnvironment,
  seed: number,
  signal: AbortSignal,
): Promise<string | undefined> {
  const slides = await inspectSlides(series, environment, signal);
  const uidOf = (slide: (typeof slides)[number]): string =>
    slide instanceof StainError ? '' : slide.levels[0]!.instances[0]!.sopInstanceUid;
  const [slide] = inSeededOrder(slides, uidOf, seed);
  if (slide instanceof StainError) throw slide;
  return slides.length > 1 ? uidOf(slide!) : undefined;
}

/** What was seen of a slide that is not H&E. */
function reasonsOf({ code, data }: StainError): readonly string[] {
  return code === 'STAIN_NOT_HE' ? ((data['reasons'] as string[] | undefined) ?? []) : [];
}

/** A note without free text, which may name the patient. */
function told(text: string): SlideRecord['notes'][number] {
  const { code, message } = noteOf(text);
  const isFree = code === 'OTHER' || code === 'THUMBNAIL_LEFT_OUT';
  return { code, message: isFree ? 'See the slide in the viewer.' : message };
}

export function describeAcceptance({ folder, document }: AcceptanceResult): string {
  const number = (value: number | null): string => (value === null ? 'none' : value.toFixed(1));
  const { scanners } = document.content;
  const accepted = acceptable(document);
  const chosen = accepted.length === scanners.length ? '' : ` --scanner ${accepted.join(' ')}`;
  const sign = `  stain-normalization acceptance sign ${shellWord(join(folder, ACCEPTANCE_FILE))} --name NAME --role ROLE`;
  return [
    ...scanners.flatMap((record) => {
      const { before, after } = record.distance;
      return [
        `Scanner ${record.number}: ${scannerName(record.scanner)}`,
        `  refused ${rateText(record.refused)}${record.failed > 0 ? `; ${record.failed} could not be looked at` : ''}`,
        `  to the template, before and after: nuclei ${number(before.nuclei)}, ${number(after.nuclei)}; stroma ${number(before.stroma)}, ${number(after.stroma)}`,
        `  drift: ${driftText(record)}`,
      ];
    }),
    `Look at ${join(folder, PAGE_FILE)}, print it and sign it; then record the decision:`,
    accepted.length > 0 ? `${sign} --decision accepted${chosen}` : `${sign} --decision rejected`,
    'Research use only. Not for primary diagnosis.',
  ].join('\n');
}
