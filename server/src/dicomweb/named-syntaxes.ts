/**
 * Which transfer syntaxes to request. `transfer-syntax=*` returns what is stored; without it archives decompress the
 * whole slide, and 201 MB arrive instead of 15 MB. An archive that does not support it gets the list of the syntaxes
 * that we can read. If it refuses that too, it chooses itself, mostly Explicit VR Little Endian.
 */
import { IMPLICIT_VR_LITTLE_ENDIAN, TRANSFER_SYNTAXES } from '../../../core/src/dicom/transfer-syntaxes.ts';
import { type Habits, type NamedSyntaxes, type OtherWays, othersThan } from './archive-habits.ts';

const INSTANCE_TYPE = 'application/dicom';
const READABLE = TRANSFER_SYNTAXES.filter(({ codec }) => codec !== undefined);

export const FRAMES_ACCEPT: Readonly<Record<NamedSyntaxes, string>> = {
  any: related('application/octet-stream', '*'),
  // There is no Implicit VR for frames.
  listed: READABLE.filter(({ uid }) => uid !== IMPLICIT_VR_LITTLE_ENDIAN)
    .map(({ uid, mediaType }) => related(mediaType, uid))
    .join(', '),
  none: related('application/octet-stream'),
};

export const INSTANCE_ACCEPT: Readonly<Record<NamedSyntaxes, string>> = {
  any: related(INSTANCE_TYPE, '*'),
  listed: READABLE.map(({ uid }) => related(INSTANCE_TYPE, uid)).join(', '),
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
    // One odd instance must not make an archive decompress all the others.
    isShownByOne: true,
    lacks: `It returns ${what} neither with transfer-syntax=* nor in any readable transfer syntax.`,
  };
}
