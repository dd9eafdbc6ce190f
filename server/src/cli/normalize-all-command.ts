/**
 * `normalize-all SOURCE DESTINATION`: every whole-slide series that a search finds, one after the other. UIDs follow
 * from the request: a repeated run skips finished series and resumes interrupted ones.
 */
import { writeFile } from 'node:fs/promises';
import type { BatchSeries, NormalizationRequest, OutputEncoding } from '../../../core/src/contract/index.ts';
import { StainError, toStainError } from '../../../core/src/errors.ts';
import type { TransferName } from '../../../core/src/stain/transfer-name.ts';
import { textOf } from '../dicom/json-model.ts';
import { csvOf } from '../http/batch-csv.ts';
import type { NormalizationEnvironment } from '../pipeline/environment.ts';
import { sourceOfRefusal } from '../pipeline/series-identity.ts';
import { slidesToAskFor } from '../slide/several-slides.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import { environmentOf, namesOf } from '../wiring/archives.ts';
import type { Composition } from '../wiring/composition.ts';
import { sayLeftOut } from './choose-series.ts';
import { describeLeftOut } from './left-out-files.ts';
import { isExisting, normalizeOnce } from './normalize-once.ts';
import { createProgressBar } from './progress-bar.ts';
import { parseQuery } from './series-query.ts';
import { Settling } from './settling.ts';
import type { SourceOfFiles } from './source-file.ts';
import { terminalName } from './terminal-text.ts';

/** How often to check a slide that is still arriving, before it is left for another run. */
const MAX_LOOKS = 10;

export interface NormalizeAllArguments {
  readonly source: string;
  readonly destination: string;
  readonly template: string;
  readonly model: string;
  readonly transfer: TransferName;
  readonly encoding?: OutputEncoding | undefined;
  readonly quality?: number | undefined;
  readonly anyStain?: true | undefined;
  /** Keyword=Value, as in QIDO-RS. */
  readonly query: readonly string[];
  /** A file name ending in .csv or .json. */
  readonly report?: string | undefined;
}

/** As a service reports it, with the file if the source is a folder. */
export interface ReportLine extends BatchSeries {
  readonly file?: string;
}

export interface NormalizeAllResult {
  readonly series: readonly ReportLine[];
  readonly failed: number;
}

export async function normalizeAllCommand(
  args: NormalizeAllArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<NormalizeAllResult> {
  const parameters = parseQuery(args.query);
  if (args.report !== undefined && !/\.(csv|json)$/.test(args.report))
    throw new StainError('REQUEST_INVALID', 'The name of the report must end in .csv or .json.');
  const { config } = composition;
  // Once, and not slide by slide.
  await composition.templates.get(args.template);
  await composition.model(args.model);
  await using source = await openArchiveLocation(args.source, config, { create: false });
  process.stderr.write(describeLeftOut(source.leftOut, { names: true }));
  await using destination = await openArchiveLocation(args.destination, config, { create: true });
  const found = await source.client.searchSeries({ Modality: 'SM', ...parameters }, signal, {
    onLeftOut: sayLeftOut,
  });
  if (found.length === 0)
    throw new StainError('SERIES_NOT_FOUND', 'The source has no matching whole-slide series.');
  const environment = environmentOf(composition, { source, destination });
  const requests = found.map(
    (json): NormalizationRequest => ({
      studyInstanceUid: textOf(json, '0020000D') ?? parameters.StudyInstanceUID ?? '',
      seriesInstanceUid: textOf(json, '0020000E') ?? '',
      template: args.template,
      model: args.model,
      transfer: args.transfer,
      encoding: args.encoding ?? config.output.encoding,
      quality: args.quality ?? config.output.quality,
      ...(args.anyStain && { anyStain: true }),
      ...namesOf(source, destination),
    }),
  );
  const settling = new Settling(source, environment, config.jobs.stableSeconds);
  const series: ReportLine[] = [];
  const write = async (): Promise<void> => {
    if (args.report !== undefined) await writeReport(args.report, series, source);
  };
  // A report that cannot be written is noticed before the work.
  await write();
  for (const [i, request] of requests.entries()) {
    signal.throwIfAborted();
    const file = source.fileOf?.(request);
    process.stderr.write(
      `${i + 1} of ${found.length}  ${request.seriesInstanceUid}${file === undefined ? '' : `  ${terminalName(file)}`}\n`,
    );
    const next = requests[i + 1];
    if (next) settling.lookAt(next, signal);
    const lines = await normalizeOne(request, environment, settling, signal);
    series.push(...lines.map((line) => withFileOf(line, source)));
    // Written after each series, in case the machine goes down in the night.
    await write();
  }
  return { series, failed: series.filter(({ state }) => state === 'FAILED').length };
}

/**
 * Normalises one of many series, or each of its slides; the outcome is recorded whatever happens.
 * @throws only if the command is to end
 */
async function normalizeOne(
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
  settling: Settling,
  signal: AbortSignal,
  looks = 1,
): Promise<BatchSeries[]> {
  const { studyInstanceUid, seriesInstanceUid, slide = null } = request;
  const line = (end: Partial<BatchSeries> & Pick<BatchSeries, 'state'>): BatchSeries => ({
    studyInstanceUid,
    seriesInstanceUid,
    slide,
    job: null,
    code: null,
    message: null,
    attempts: 0,
    nextTryAt: null,
    derivedSeriesInstanceUid: null,
    seconds: null,
    ...end,
  });
  const bar = createProgressBar(process.stderr);
  let expectedSource: string | undefined;
  try {
    expectedSource = await settling.settled(request, signal);
    const normalized = await normalizeOnce(request, environment, {
      signal,
      ...(expectedSource !== undefined && { expectedSource }),
      onProgress: (progress) => bar.update(progress),
    });
    const { seriesInstanceUid: derivedSeriesInstanceUid } = normalized;
    if (!isExisting(normalized))
      return [line({ state: 'COMPLETED', derivedSeriesInstanceUid, seconds: normalized.seconds })];
    return [
      line({
        state: 'SKIPPED',
        code: 'ALREADY_NORMALIZED',
        message: 'The result is in the destination.',
        derivedSeriesInstanceUid,
      }),
    ];
  } catch (thrown) {
    signal.throwIfAborted();
    const several = expectedSource === undefined ? undefined : sourceOfRefusal(thrown);
    const { code, message } = toStainError(thrown);
    const isArriving = code === 'SERIES_ARRIVING' || (several !== undefined && several !== expectedSource);
    if (isArriving && looks < MAX_LOOKS) {
      settling.lookAt(request, signal);
      return normalizeOne(request, environment, settling, signal, looks + 1);
    }
    const slides = slide === null ? slidesToAskFor(thrown) : [];
    if (slides.length > 0) return normalizeSlides(slides, request, environment, settling, signal);
    return [line({ state: code === 'ALREADY_NORMALIZED' ? 'SKIPPED' : 'FAILED', code, message })];
  } finally {
    bar.finish();
  }
}

async function normalizeSlides(
  slides: readonly string[],
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
  settling: Settling,
  signal: AbortSignal,
): Promise<BatchSeries[]> {
  const requests = slides.map((slide) => ({ ...request, slide }));
  // All at once, so that they do not wait one after the other.
  for (const wanted of requests) settling.lookAt(wanted, signal);
  const lines: BatchSeries[] = [];
  for (const wanted of requests) {
    process.stderr.write(`  slide ${wanted.slide}\n`);
    lines.push(...(await normalizeOne(wanted, environment, settling, signal)));
  }
  return lines;
}

function withFileOf(line: BatchSeries, source: SourceOfFiles): ReportLine {
  const file = source.fileOf?.({ ...line, slide: line.slide ?? undefined });
  return file === undefined ? line : { ...line, file };
}

/** @throws REQUEST_INVALID */
async function writeReport(
  report: string,
  series: readonly ReportLine[],
  { fileOf }: SourceOfFiles,
): Promise<void> {
  const text = report.endsWith('.csv')
    ? csvOf(series, fileOf ? ['file'] : [])
    : `${JSON.stringify(series, null, 2)}\n`;
  await writeFile(report, text).catch((cause: NodeJS.ErrnoException) => {
    throw new StainError('REQUEST_INVALID', `The report ${report} cannot be written (${cause.code}).`, {
      cause,
    });
  });
}

export function describeAll({ series }: NormalizeAllResult): string {
  const counts = Map.groupBy(series, ({ state }) => state);
  const failures = series.filter(({ state }) => state === 'FAILED');
  return [
    [...counts].map(([state, some]) => `${some.length} ${state.toLowerCase()}`).join(', '),
    ...failures.map(
      ({ file, seriesInstanceUid, slide, code, message }) =>
        `  ${file === undefined ? '' : `${terminalName(file)}  `}${seriesInstanceUid}${slide === null ? '' : ` slide ${slide}`}  ${code}: ${message}`,
    ),
    'Research use only. Not for primary diagnosis.',
  ].join('\n');
}
