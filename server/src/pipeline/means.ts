/** Resolves the template and the network that a request names, and the content it then stands for. */

import type { NormalizationRequest } from '../../../core/src/contract/index.ts';
import { requireTemplateOf, type TemplateVersion } from '../../../core/src/stain/template.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { Slide } from '../slide/types.ts';
import type { NormalizationEnvironment } from './environment.ts';
import { type Fingerprint, PIPELINE_VERSION, sha256, slideUid, sourceSha256 } from './series-identity.ts';

export interface Means {
  readonly template: TemplateVersion;
  readonly network: StainNetwork;
}

/** @throws TEMPLATE_NOT_FOUND, MODEL_NOT_FOUND, MODEL_INVALID; TEMPLATE_INVALID if the two do not fit together */
export async function resolveMeans(
  {
    template: id,
    templateSha256,
    model,
  }: Pick<NormalizationRequest, 'template' | 'templateSha256' | 'model'>,
  environment: Pick<NormalizationEnvironment, 'template' | 'network'>,
): Promise<Means> {
  const template = await environment.template(id, templateSha256);
  const network = await environment.network(model);
  requireTemplateOf(template, network.model);
  return { template, network };
}

/** What identifies the content of a slide. */
export type SourceFingerprint = Pick<Fingerprint, 'sourceSha256' | 'slideUid'>;

export function sourceOf(slide: Slide): SourceFingerprint {
  return { sourceSha256: sourceSha256(slide), slideUid: slideUid(slide) };
}

export function fingerprintOf(
  source: SourceFingerprint,
  { template, network }: Means,
  {
    softwareVersions,
    onInvalidProfile,
  }: Pick<NormalizationEnvironment, 'softwareVersions' | 'onInvalidProfile'>,
): Fingerprint {
  return {
    ...source,
    templateSha256: template.sha256,
    // The model that will run, not whatever is on the disk by now.
    modelSha256: network.model.sha256,
    pipelineSha256: sha256([PIPELINE_VERSION, softwareVersions, onInvalidProfile]),
  };
}
