/** Makes a template from pixels: from a level of a slide, or from a picture. */

import { StainError } from '../../../core/src/errors.ts';
import { averageStain } from '../../../core/src/stain/average-stain.ts';
import type { Stain } from '../../../core/src/stain/stain.ts';
import type { Template } from '../../../core/src/stain/template-document.ts';
import type { StainNetwork } from '../inference/network.ts';
import type { PixelSource } from '../slide/pixel-source.ts';
import { type Fit, fitStain } from './fit.ts';
import { requireHe, type StainPolicy } from './require-he.ts';

export interface TemplateDescription {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly provenance: Template['provenance'];
}

/** The pixels, and the same image at lower magnifications, to find the tissue. */
export interface TemplatePixels {
  readonly base: PixelSource;
  readonly overviews: readonly PixelSource[];
  /** For messages, if it is one of several. */
  readonly name?: string;
}

/**
 * @param slides fitted one by one, with equal weight
 * @param thumbnail JPEG
 * @throws STAIN_NOT_HE, and whatever `fitStain` refuses
 */
export async function makeTemplate(
  slides: readonly TemplatePixels[],
  thumbnail: Uint8Array,
  network: StainNetwork,
  description: TemplateDescription,
  policy: StainPolicy,
  signal: AbortSignal,
): Promise<Template> {
  const fits: Fit[] = [];
  for (const slide of slides) fits.push(await fitOf(slide, network, policy, signal));
  const { name, version, sha256 } = network.model;
  return {
    schemaVersion: 2,
    id: description.id,
    name: description.name,
    description: description.description,
    model: { name, version, sha256 },
    ...contentOfStain(averageStain(fits)),
    pixels: fits.reduce((sum, { pixels }) => sum + pixels, 0),
    thumbnail: Buffer.from(thumbnail).toString('base64'),
    provenance: description.provenance,
  };
}

async function fitOf(
  { base, overviews, name }: TemplatePixels,
  network: StainNetwork,
  policy: StainPolicy,
  signal: AbortSignal,
): Promise<Fit> {
  try {
    const fit = await fitStain(base, overviews, network, { signal });
    requireHe(fit, policy);
    return fit;
  } catch (error) {
    if (name === undefined || !(error instanceof StainError)) throw error;
    const { code, message, data } = error;
    throw new StainError(code, `${name}: ${message}`, { data, cause: error });
  }
}

/** A stain in the form of a template document. */
export function contentOfStain({
  classes,
  densities,
  glassDensity,
}: Stain): Pick<Template, 'classes' | 'densities' | 'glassDensity'> {
  return {
    glassDensity,
    classes: classes.map(({ share, mean, sd }) => ({ share, mean: [...mean], sd: [...sd] })),
    densities: densities.map(({ share, mean, covariance: [r, g, b] }) => ({
      share,
      mean: [...mean],
      covariance: [[...r], [...g], [...b]],
    })),
  };
}
