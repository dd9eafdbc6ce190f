/** Transfer syntaxes by what the reader must know of them: VR encoding and whether pixel data are fragments. */
import { StainError } from '../errors.ts';

const IMPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2';
export const EXPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
export const DEFLATED = '1.2.840.10008.1.2.1.99';
const UNSUPPORTED = new Map([
  ['1.2.840.10008.1.2.2', 'explicit VR big endian'],
  // Inflated before they come here (deflated.ts); what does come is none that can be inflated.
  [DEFLATED, 'deflated explicit VR little endian, and not in a way that can be read'],
]);

export interface TransferSyntax {
  readonly explicitVr: boolean;
  /** Pixel data are fragments of a compressed codestream (PS3.5 A.4). */
  readonly encapsulated: boolean;
}

/** @throws TRANSFER_SYNTAX_UNSUPPORTED for big endian data sets, and deflated ones that were not inflated */
export function transferSyntaxOf(uid: string): TransferSyntax {
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
