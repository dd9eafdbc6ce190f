/** Makes a template from pixels: a slide's level or a picture. */
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import type { Template } from '../stain/template-document.ts';
import { fitStain } from './fit.ts';
import { requireHe, type StainPolicy } from './require-he.ts';

export interface TemplateDescription {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly provenance: Template['provenance'];
}

/**
 * @param pixels overviews: the same pixels at lower magnifications, for finding the tissue
 * @param thumbnail JPEG
 * @throws STAIN_NOT_HE, and what `fitStain` refuses
 */
export async function makeTemplate(
  pixels: { readonly base: PixelSource; readonly overviews: readonly PixelSource[] },
  thumbnail: Uint8Array,
  network: StainNetwork,
  description: TemplateDescription,
  policy: StainPolicy,
  signal: AbortSignal,
): Promise<Template> {
  const fit = await fitStain(pixels.base, pixels.overviews, network, { signal });
  requireHe(fit, policy);
  const { name, version, sha256 } = network.model;
  return {
    schemaVersion: 2,
    id: description.id,
    name: description.name,
    description: description.description,
    model: { name, version, sha256 },
    glassDensity: fit.glass.density,
    classes: fit.classes.map(({ share, mean, sd }) => ({ share, mean: [...mean], sd: [...sd] })),
    densities: fit.densities.map(({ share, mean, covariance: [r, g, b] }) => ({
      share,
      mean: [...mean],
      covariance: [[...r], [...g], [...b]],
    })),
    pixels: fit.pixels,
    thumbnail: Buffer.from(thumbnail).toString('base64'),
    provenance: description.provenance,
  };
}
