/** `normalize SOURCE DESTINATION`: one series from a DICOMweb URL or folder to a DICOMweb URL or folder. */

import type { Composition } from '../composition.ts';
import type { NormalizationRequest, OutputEncoding } from '../normalization/types.ts';
import { openArchiveLocation } from './archive-location.ts';
import { chooseSeries } from './choose-series.ts';
import { describeLeftOut } from './left-out-files.ts';
import { isExisting, type Normalized, normalizeOnce } from './normalize-once.ts';
import { createProgressBar, formatDuration } from './progress-bar.ts';

export interface NormalizeArguments {
  readonly source: string;
  readonly destination: string;
  readonly template: string;
  readonly model: string;
  readonly study?: string | undefined;
  readonly series?: string | undefined;
  readonly encoding?: OutputEncoding | undefined;
  readonly quality?: number | undefined;
}

export async function normalizeCommand(
  args: NormalizeArguments,
  composition: Composition,
  signal: AbortSignal,
): Promise<Normalized> {
  await using source = await openArchiveLocation(args.source, composition.config, { create: false });
  process.stderr.write(describeLeftOut(source.leftOut, { names: true }));
  await using destination = await openArchiveLocation(args.destination, composition.config, { create: true });
  const request: NormalizationRequest = {
    ...(await chooseSeries(source.client, args, signal)),
    template: args.template,
    model: args.model,
    encoding: args.encoding ?? composition.config.output.encoding,
    quality: args.quality ?? composition.config.output.quality,
  };
  const bar = createProgressBar(process.stderr);
  const environment = composition.environment({ source: source.client, destination: destination.client });
  try {
    return await normalizeOnce(request, environment, {
      signal,
      onProgress: (progress) => bar.update(progress),
    });
  } finally {
    bar.finish();
  }
}

/** The result in words, for a terminal. */
export function describeResult(result: Normalized): string {
  if (isExisting(result))
    return [
      `Series ${result.seriesInstanceUid}`,
      `  in study    ${result.studyInstanceUid}`,
      '  is in the destination already: the same slide, template, model and encoding. Nothing was done.',
      'Research use only. Not for primary diagnosis.',
    ].join('\n');
  const bytes = result.instances.reduce((sum, instance) => sum + instance.bytes, 0);
  const lines = [
    `Stored series ${result.seriesInstanceUid}`,
    `  in study    ${result.studyInstanceUid}`,
    ...(result.supersedes
      ? [`  revision    ${result.revision}, in place of series ${result.supersedes}`]
      : []),
    `  instances   ${result.instances.length} (${(bytes / 1e6).toFixed(1)} MB), verified in the archive`,
    `  template    ${result.template}, model ${result.model.name} ${result.model.version} on ${result.executionProvider}`,
    `  time        ${formatDuration(result.seconds)} for ${result.megapixels.toFixed(1)} Mpx (${(result.megapixels / result.seconds).toFixed(2)} Mpx/s)`,
    ...result.notes.map((note) => `  note        ${note}`),
    'Research use only. Not for primary diagnosis.',
  ];
  return lines.join('\n');
}
