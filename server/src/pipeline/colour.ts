/** Colour management of one slide: converts the source to sRGB, writes sRGB, and records both. */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { ColourTable } from '../../../core/src/codec/colour-table.ts';
import { StainError } from '../../../core/src/errors.ts';
import { noteText } from '../../../core/src/notes.ts';
import { makeColourTable } from '../codec/icc.ts';
import type { DataSet } from '../dicom/dataset.ts';

export type InvalidProfilePolicy = 'refuse' | 'ignore';

export interface Colour {
  /** undefined if the pixels are already sRGB or are treated as sRGB. */
  readonly table: ColourTable | undefined;
  /** A sentence for the derivation record. */
  readonly policy: string;
  readonly notes: readonly string[];
}

/** Each takes half a megabyte. */
const MAX_TABLES = 16;
const tables = new LRUCache<string, Promise<ColourTable | undefined>>({ max: MAX_TABLES });

/**
 * All slides of a scanner have the same profile, and building a table takes a third of a second, so tables are cached.
 */
function tableOf(profile: Uint8Array): Promise<ColourTable | undefined> {
  const key = createHash('sha256').update(profile).digest('hex');
  const made = tables.get(key) ?? makeColourTable(profile);
  tables.set(key, made);
  made.catch(() => tables.delete(key));
  return made;
}

/**
 * @param header of an instance of the base level
 * @throws ICC_PROFILE_INVALID for a damaged or non-RGB profile, unless invalid profiles are to be ignored
 */
export function colourOf(header: DataSet, onInvalidProfile: InvalidProfilePolicy): Promise<Colour> {
  const profile = header.items('OpticalPathSequence')[0]?.bytes('ICCProfile') ?? header.bytes('ICCProfile');
  return colourOfProfile(profile, onInvalidProfile);
}

/** @throws ICC_PROFILE_INVALID as `colourOf` */
export async function colourOfProfile(
  profile: Uint8Array | undefined,
  onInvalidProfile: InvalidProfilePolicy,
): Promise<Colour> {
  if (!profile)
    return {
      table: undefined,
      policy: 'The source has no ICC profile and was treated as sRGB. Output is sRGB.',
      notes: [],
    };
  try {
    const table = await tableOf(profile);
    return {
      table,
      policy: table
        ? 'The source was converted to sRGB with its ICC profile. Output is sRGB.'
        : 'The source is sRGB, according to its ICC profile. Output is sRGB.',
      notes: [],
    };
  } catch (error) {
    if (onInvalidProfile === 'refuse' || !(error instanceof StainError)) throw error;
    const note = noteText('ICC_PROFILE_IGNORED');
    return {
      table: undefined,
      policy: `${note} The source was treated as sRGB. Output is sRGB.`,
      notes: [note],
    };
  }
}
