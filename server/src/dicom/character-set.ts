/** Decodes text by the Specific Character Set (0008,0005) of its data set; PS3.3 C.12.1.1.2. For reading only. */
import { convertBytes } from 'dicom-character-set';

/** VRs whose text is in the Specific Character Set; all others are ASCII (PS3.5 6.1.2.3). */
const CHARACTER_SET_VRS = new Set(['LO', 'LT', 'PN', 'SH', 'ST', 'UC', 'UT']);

/** Text with code extensions is decoded piece by piece, slowly: a longer one is no name, and is read as Latin-1. */
const MAX_EXTENDED_BYTES = 65_536;

/** Several terms, or one that is meant for several. */
const EXTENDED = /\\|^ISO 2022/;

/** ASCII without escape sequences is the same in every character set. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the control character ESC begins code extensions
const PLAIN = /^[\x00-\x1a\x1c-\x7f]*$/;

/**
 * Whatever cannot be decoded is read as Latin-1, which never fails.
 * @param terms all values of Specific Character Set, with backslashes between them
 */
export function decodeText(bytes: Uint8Array, vr: string, terms: string): string {
  const latin = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (terms === '' || !CHARACTER_SET_VRS.has(vr) || PLAIN.test(latin)) return latin;
  if (EXTENDED.test(terms) && bytes.length > MAX_EXTENDED_BYTES) return latin;
  try {
    return convertBytes(terms, bytes, { vr });
  } catch {
    return latin;
  }
}
