/** `normalize SOURCE DESTINATION`: one series from a DICOMweb URL or folder to a DICOMweb URL or folder. */

import type { Composition } from '../composition.ts';
import { newUuid } from '../dicom/uid.ts';
import { normalizeSeries } from '../normalization/normalize-series.ts';
import { removeJobSpool } from '../normalization/spool.ts';
import type { NormalizationRequest, NormalizationResult, OutputEncoding } from '../normalization/types.ts';
import { openArchiveLocation } from './archive-location.ts';
import { chooseSeries } from './choose-series.ts';
import { describeLeftOut } from './left-out-files.ts';
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
): Promise<NormalizationResult> {
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
  const identity = { jobUuid: newUuid(), createdAt: new Date().toISOString() };
  try {
    return await normalizeSeries(request, identity, environment, {
      signal,
      onProgress: (progress) => bar.update(progress),
    });
  } finally {
    bar.finish();
    await removeJobSpool(environment.spool, identity.jobUuid);
  }
}

/** The result in words, for a terminal. */
export function describeResult(result: NormalizationResult): string {
  const bytes = result.instances.reduce((sum, instance) => sum + instance.bytes, 0);
  const lines = [
    `Stored series ${result.seriesInstanceUid}`,
    `  in study    ${result.studyInstanceUid}`,
    `  instances   ${result.instances.length} (${(bytes / 1e6).toFixed(1)} MB), verified in the archive`,
    `  template    ${result.template}, model ${result.model.name} ${result.model.version} on ${result.executionProvider}`,
    `  time        ${formatDuration(result.seconds)} for ${result.megapixels.toFixed(1)} Mpx (${(result.megapixels / result.seconds).toFixed(2)} Mpx/s)`,
    ...result.notes.map((note) => `  note        ${note}`),
    'Research use only. Not for primary diagnosis.',
  ];
  return lines.join('\n');
}
