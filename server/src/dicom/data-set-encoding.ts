/** What the reader must know about a transfer syntax: its VR encoding, and whether pixel data are fragments. */
import {
  DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
  EXPLICIT_VR_BIG_ENDIAN,
  EXPLICIT_VR_LITTLE_ENDIAN,
  IMPLICIT_VR_LITTLE_ENDIAN,
} from '../../../core/src/dicom/transfer-syntaxes.ts';
import { StainError } from '../../../core/src/errors.ts';

const UNSUPPORTED = new Map([
  [EXPLICIT_VR_BIG_ENDIAN, 'explicit VR big endian'],
  // Deflated files are inflated before they get here (deflated.ts); any that still do cannot be inflated.
  [DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, 'deflated explicit VR little endian that cannot be inflated'],
]);

export interface DataSetEncoding {
  readonly explicitVr: boolean;
  /** Pixel data are fragments of a compressed codestream (PS3.5 A.4). */
  readonly encapsulated: boolean;
}

/** @throws TRANSFER_SYNTAX_UNSUPPORTED for big-endian data sets, and for deflated ones that were not inflated */
export function dataSetEncoding(uid: string): DataSetEncoding {
  const refused = UNSUPPORTED.get(uid);
  if (refused)
    throw new StainError('TRANSFER_SYNTAX_UNSUPPORTED', `The instance is stored as ${refused}.`, {
      data: { uid },
    });
  return {
    explicitVr: uid !== IMPLICIT_VR_LITTLE_ENDIAN,
    encapsulated: uid !== IMPLICIT_VR_LITTLE_ENDIAN && uid !== EXPLICIT_VR_LITTLE_ENDIAN,
  };
}
