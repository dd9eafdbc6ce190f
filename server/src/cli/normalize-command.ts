/**
 * `normalize SOURCE DESTINATION`: one series, from a DICOMweb URL or folder to a DICOMweb URL or folder. Each slide of
 * a series with several slides becomes a derived series of its own.
 */

import type { NormalizationRequest, OutputEncoding } from '../../../core/src/contract/index.ts';
import { type StainError, toStainError } from '../../../core/src/errors.ts';
import type { TransferName } from '../../../core/src/stain/transfer-name.ts';
import type { SlideReference } from '../pipeline/series-reference.ts';
import { slidesToAskFor } from '../slide/several-slides.ts';
import { openArchiveLocation } from '../wiring/archive-location.ts';
import { environmentOf, namesOf } from '../wiring/archives.ts';
import type { Composition } from '../wiring/composition.ts';
import { chooseSeries } from './choose-series.ts';
import { describeLeftOut } from './left-out-files.ts';
import { isExisting, type Normalized, normalizeOnce } from './normalize-once.ts';
import { createProgressBar, formatDuration } from './progress-bar.ts';
import { withFile } from './source-file.ts';
import { terminalName } from './terminal-text.ts';

export interface NormalizeArguments {
  readonly source: string;
  readonly destination: string;
  readonly template: string;
  readonly model: string;
  readonly study?: string | undefined;
  readonly series?: string | undefined;
  readonly slide?: string | undefined;
  readonly transfer: TransferName;
  readonly encoding?: OutputEncoding | undefined;
  readonly quality?: number | undefined;
  readonly anyStain?: true | undefined;
}

/** One of several slides that could not be normalised, unlike the others. */
export interface FailedSlide {
  readonly sourceSlide: string;
  readonly error: Pick<StainError, 'code' | 'message' | 'remedy'>;
}

export type Outcome = (Normalized | FailedSlide) & {
  /** If the source is a folder: the slide's file, its own folder or its first file. */
  readonly sourceFile?: string;
};

export function isFailed(outcome: Outcome): outcome is FailedSlide {
  return 'error' in outcome;
}

/** @returns the outcome for each slide of the series. @throws the error if there is only one slide, or if all failed */
export async function normalizeCommand(
  args: NormalizeArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<Outcome[]> {
  await using source = await openArchiveLocation(args.source, composition.config, { create: false });
  process.stderr.write(describeLeftOut(source.leftOut, { names: true }));
  await using destination = await openArchiveLocation(args.destination, composition.config, { create: true });
  const request: NormalizationRequest = {
    ...(await chooseSeries(source, args, signal)),
    template: args.template,
    model: args.model,
    transfer: args.transfer,
    encoding: args.encoding ?? composition.config.output.encoding,
    quality: args.quality ?? composition.config.output.quality,
    ...(args.anyStain && { anyStain: true }),
    ...namesOf(source, destination),
  };
  const environment = environmentOf(composition, { source, destination });
  const normalize = async (wanted: NormalizationRequest): Promise<Normalized> => {
    const bar = createProgressBar(process.stderr);
    try {
      return await normalizeOnce(wanted, environment, {
        signal,
        onProgress: (progress) => bar.update(progress),
      });
    } finally {
      bar.finish();
    }
  };
  const told = (outcome: Normalized | FailedSlide, slide: SlideReference): Outcome => {
    const sourceFile = source.fileOf?.(slide);
    return sourceFile === undefined ? outcome : { ...outcome, sourceFile };
  };
  try {
    return [told(await normalize(request), request)];
  } catch (error) {
    const slides = slidesToAskFor(error);
    if (slides.length === 0) throw withFile(error, source, request);
    process.stderr.write(`The series contains ${slides.length} slides; each becomes a series of its own.\n`);
    const outcomes: Outcome[] = [];
    for (const [i, slide] of slides.entries()) {
      process.stderr.write(`${i + 1} of ${slides.length}  --slide ${slide}\n`);
      const wanted = { ...request, slide };
      const outcome = await normalize(wanted).catch((thrown: unknown) => {
        signal.throwIfAborted();
        const { code, message, remedy } = toStainError(thrown);
        return { sourceSlide: slide, error: { code, message, remedy } };
      });
      outcomes.push(told(outcome, wanted));
    }
    return outcomes;
  }
}

/** Formatted for a terminal. */
export function describeOutcomes(outcomes: readonly Outcome[]): string {
  return [...outcomes.flatMap(linesOf), 'Research use only. Not for primary diagnosis.'].join('\n');
}

function linesOf(result: Outcome): string[] {
  const sourceFile = result.sourceFile === undefined ? undefined : terminalName(result.sourceFile);
  if (isFailed(result))
    return [
      `Slide ${sourceFile === undefined ? '' : `${sourceFile} `}${result.sourceSlide} failed (${result.error.code}): ${result.error.message}`,
      `  ${result.error.remedy}`,
    ];
  const slide = [
    ...(result.sourceSlide === undefined ? [] : [`  slide       ${result.sourceSlide}`]),
    ...(sourceFile === undefined ? [] : [`  file        ${sourceFile}`]),
  ];
  if (isExisting(result))
    return [
      `Series ${result.seriesInstanceUid}`,
      `  in study    ${result.studyInstanceUid}`,
      ...slide,
      '  is already in the destination: same slide, template, model, transfer and encoding. Nothing was done.',
    ];
  const bytes = result.instances.reduce((sum, instance) => sum + instance.bytes, 0);
  return [
    `Stored series ${result.seriesInstanceUid}`,
    `  in study    ${result.studyInstanceUid}`,
    ...slide,
    ...(result.supersedes ? [`  revision    ${result.revision}, replaces series ${result.supersedes}`] : []),
    `  instances   ${result.instances.length} (${(bytes / 1e6).toFixed(1)} MB), verified in the archive`,
    `  template    ${result.template}, model ${result.model.name} ${result.model.version} on ${result.executionProvider}`,
    `  time        ${formatDuration(result.seconds)} for ${result.megapixels.toFixed(1)} Mpx (${(result.megapixels / result.seconds).toFixed(2)} Mpx/s)`,
    ...result.notes.map(({ message }) => `  note        ${message}`),
  ];
}
