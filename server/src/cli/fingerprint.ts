/** The content of what a request names: slide, template, model and rules. */
import { createHash } from 'node:crypto';
import { VERSION } from '../composition.ts';
import { isOurs } from '../dicom/equipment.ts';
import type { Fingerprint } from '../jobs/job-key.ts';
import { inspectRequest, type NormalizationEnvironment } from '../normalization/normalize-series.ts';
import { imagesOf } from '../normalization/open-series.ts';
import type { NormalizationRequest } from '../normalization/types.ts';
import type { Slide } from '../slide/types.ts';

/** Refuses what can be refused before work begins. `isResult`: this product made the series. @throws what `inspectRequest` throws */
export async function fingerprintOf(
  request: NormalizationRequest,
  environment: NormalizationEnvironment,
  signal: AbortSignal,
): Promise<Fingerprint & { readonly slide: Slide; readonly isResult: boolean }> {
  const { template, network, slide } = await inspectRequest(request, environment, signal);
  const instances = imagesOf(slide).flatMap((level) =>
    level.instances.map(({ sopInstanceUid }) => sopInstanceUid),
  );
  return {
    sourceSha256: sha256(instances.sort()),
    templateSha256: template.sha256,
    // The model that will run, not whatever lies on the disk by now.
    modelSha256: network.model.sha256,
    softwareVersion: VERSION,
    slide,
    isResult: isOurs(slide.levels[0]!.instances[0]!.dataset),
  };
}

function sha256(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
