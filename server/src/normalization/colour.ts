/** Colour management of one slide: source to sRGB on the way in, sRGB written on the way out, and both recorded. */
import type { ColourTable } from '../codec/colour-table.ts';
import { makeColourTable } from '../codec/icc.ts';
import { StainError } from '../errors.ts';
import type { Level } from '../slide/types.ts';

export type InvalidProfilePolicy = 'refuse' | 'ignore';

export interface Colour {
  /** undefined where the pixels are sRGB already or count as such. */
  readonly table: ColourTable | undefined;
  /** A sentence for the record. */
  readonly policy: string;
  readonly notes: readonly string[];
}

/** @throws ICC_PROFILE_INVALID for a damaged or non-RGB profile, unless it is to be ignored */
export async function colourOf(level: Level, onInvalidProfile: InvalidProfilePolicy): Promise<Colour> {
  const profile =
    level.instances[0]!.dataset.items('OpticalPathSequence')[0]?.bytes('ICCProfile') ??
    level.instances[0]!.dataset.bytes('ICCProfile');
  if (!profile)
    return {
      table: undefined,
      policy: 'No ICC profile in the source: taken as sRGB. Output is sRGB.',
      notes: [],
    };
  try {
    const table = await makeColourTable(profile);
    return {
      table,
      policy: table
        ? 'Source converted to sRGB by its ICC profile. Output is sRGB.'
        : 'The source is sRGB by its ICC profile. Output is sRGB.',
      notes: [],
    };
  } catch (error) {
    if (onInvalidProfile === 'refuse' || !(error instanceof StainError)) throw error;
    const note = 'The ICC profile of the source is damaged and was ignored, as configured.';
    return { table: undefined, policy: `${note} Taken as sRGB. Output is sRGB.`, notes: [note] };
  }
}
