/**
 * How far the colours of a slide are from those of a template, before and after the transfer: the figure of a result by
 * which a person finds slides that did not come close. Nuclei are compared with nuclei and stroma with stroma, so that
 * it depends on the stain and not on how much there is of either.
 */
import { ciede2000, type Lab, labOf } from './ciede2000.ts';
import type { DensityStatistics } from './class-statistics.ts';
import { nucleiTogether } from './linear.ts';
import { applyTables } from './linear-tables.ts';
import { occurs, type Stain } from './stain.ts';
import type { Transfer } from './transfer.ts';

export interface ColourDistance {
  /**
   * CIEDE2000 between the mean colours (of the mean optical density) of nuclei in slide and template, and of stroma and
   * cytoplasm; averaged by their shares of the slide.
   */
  readonly before: number;
  /** The same with the slide's colours as the transfer maps them; null for `paper`, which maps no colour by itself. */
  readonly after: number | null;
}

/** Undefined if no class of tissue occurs on both sides. */
export function colourDistance(
  source: Pick<Stain, 'densities'>,
  template: Pick<Stain, 'densities'>,
  transfer: Transfer,
): ColourDistance | undefined {
  const [own, target] = [tissueOf(source), tissueOf(template)];
  const pairs = own
    .map((item, k) => ({ share: item.share, from: item, to: target[k]! }))
    .filter(({ from, to }) => occurs(from) && occurs(to));
  const total = pairs.reduce((sum, { share }) => sum + share, 0);
  if (total === 0) return undefined;
  const mean = (mapped: (rgb: Uint8Array) => Uint8Array): number =>
    pairs.reduce(
      (sum, { share, from, to }) =>
        sum + (share / total) * ciede2000(lab(mapped(colourOf(from))), lab(colourOf(to))),
      0,
    );
  const before = mean((rgb) => rgb);
  if (transfer.name === 'paper') return { before, after: null };
  const after = mean((rgb) => {
    applyTables(transfer.tables, rgb);
    return rgb;
  });
  return { before, after };
}

/** Nuclei, and what eosin stains. */
function tissueOf({ densities }: Pick<Stain, 'densities'>): DensityStatistics[] {
  return nucleiTogether(densities).slice(0, -1);
}

function colourOf({ mean }: DensityStatistics): Uint8Array {
  return Uint8Array.from(mean, (density) => Math.round(255 * Math.exp(-Math.max(0, density))));
}

function lab(rgb: Uint8Array): Lab {
  return labOf(rgb[0]!, rgb[1]!, rgb[2]!);
}
