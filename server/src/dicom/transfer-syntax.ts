/** Transfer syntaxes by what the reader must know of them: VR encoding and whether pixel data are fragments. */
import { StainError } from '../errors.ts';

const IMPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2';
const EXPLICIT_VR_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
const UNSUPPORTED = new Map([
  ['1.2.840.10008.1.2.2', 'explicit VR big endian'],
  ['1.2.840.10008.1.2.1.99', 'deflated explicit VR little endian'],
]);

export interface TransferSyntax {
  readonly explicitVr: boolean;
  /** Pixel data are fragments of a compressed codestream (PS3.5 A.4). */
  readonly encapsulated: boolean;
}

/** @throws TRANSFER_SYNTAX_UNSUPPORTED for big endian and deflated data sets */
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
