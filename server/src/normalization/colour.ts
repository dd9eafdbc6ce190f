/** Colour management of one slide: source to sRGB on the way in, sRGB written on the way out, and both recorded. */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
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

/** Half a megabyte each. */
const MOST_TABLES = 16;
const tables = new LRUCache<string, Promise<ColourTable | undefined>>({ max: MOST_TABLES });

/** All slides of a scanner have one profile, and a table takes a third of a second: those that were made are kept. */
function tableOf(profile: Uint8Array): Promise<ColourTable | undefined> {
  const key = createHash('sha256').update(profile).digest('hex');
  const made = tables.get(key) ?? makeColourTable(profile);
  tables.set(key, made);
  made.catch(() => tables.delete(key));
  return made;
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
    const table = await tableOf(profile);
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
