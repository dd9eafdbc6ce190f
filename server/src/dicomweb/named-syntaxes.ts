/**
 * Which transfer syntaxes an archive is asked for. `transfer-syntax=*` gives what is stored; without it archives decompress
 * the whole slide: 201 MB came instead of 15 MB. Archives that do not know it get the list of those that are read here, and
 * where that is refused too they choose themselves, which is Explicit VR Little Endian mostly.
 */
import { type Habits, type NamedSyntaxes, type OtherWays, othersThan } from './archive-habits.ts';

/** Media types of frames by transfer syntax (PS3.18 table 8.7.3-5). */
const FRAME_TYPES: Readonly<Record<string, string>> = {
  '1.2.840.10008.1.2.4.50': 'image/jpeg',
  '1.2.840.10008.1.2.4.90': 'image/jp2',
  '1.2.840.10008.1.2.4.91': 'image/jp2',
  '1.2.840.10008.1.2.4.80': 'image/jls',
  '1.2.840.10008.1.2.4.81': 'image/jls',
  '1.2.840.10008.1.2.4.201': 'image/jphc',
  '1.2.840.10008.1.2.4.202': 'image/jphc',
  '1.2.840.10008.1.2.4.203': 'image/jphc',
  '1.2.840.10008.1.2.5': 'image/dicom-rle',
  '1.2.840.10008.1.2.1': 'application/octet-stream',
};
const INSTANCE_TYPE = 'application/dicom';
/** Frames have no Implicit VR. */
const INSTANCE_SYNTAXES = [...Object.keys(FRAME_TYPES), '1.2.840.10008.1.2'];

export const FRAMES_ACCEPT: Readonly<Record<NamedSyntaxes, string>> = {
  any: related('application/octet-stream', '*'),
  listed: Object.entries(FRAME_TYPES)
    .map(([syntax, type]) => related(type, syntax))
    .join(', '),
  none: related('application/octet-stream'),
};

export const INSTANCE_ACCEPT: Readonly<Record<NamedSyntaxes, string>> = {
  any: related(INSTANCE_TYPE, '*'),
  listed: INSTANCE_SYNTAXES.map((syntax) => related(INSTANCE_TYPE, syntax)).join(', '),
  none: related(INSTANCE_TYPE),
};

export const OTHER_FRAMES = otherSyntaxes('frames');
export const OTHER_INSTANCES = otherSyntaxes('instances');

function related(type: string, syntax?: string): string {
  return `multipart/related; type="${type}"${syntax === undefined ? '' : `; transfer-syntax=${syntax}`}`;
}

function otherSyntaxes(what: 'frames' | 'instances'): OtherWays {
  const all: readonly NamedSyntaxes[] = ['any', 'listed', 'none'];
  return {
    refusals: new Set([400, 406, 415, 501]),
    ways: (known: Habits) => othersThan(all, known[what]).map((named) => ({ [what]: named })),
    // One odd instance must not make an archive decompress all others.
    isShownByOne: true,
    lacks: `It gives ${what} neither with transfer-syntax=* nor in any transfer syntax that is read here.`,
  };
}
