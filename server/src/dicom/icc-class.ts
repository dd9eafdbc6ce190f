/**
 * ICC Profile (0028,2000) must be that of an input device (PS3.3 C.11.15.1.1), but stock sRGB profiles are for
 * displays.
 */
import { StainError } from '../../../core/src/errors.ts';

const CLASS_OFFSET = 12;
const SIGNATURE_OFFSET = 36;
/** Profile ID: an MD5 of the profile, invalid once the class changes; zero means not computed (ICC.1 7.2.18). */
const PROFILE_ID = { start: 84, end: 100 };
const HEADER_BYTES = 128;

/**
 * The same profile with device class 'scnr' and without a profile ID.
 * @throws ICC_PROFILE_INVALID if the bytes are not an ICC profile
 */
export function inputDeviceProfile(profile: Uint8Array): Uint8Array {
  const signature = String.fromCharCode(...profile.subarray(SIGNATURE_OFFSET, SIGNATURE_OFFSET + 4));
  if (profile.length < HEADER_BYTES || signature !== 'acsp')
    throw new StainError('ICC_PROFILE_INVALID', 'The bytes are not an ICC profile.');
  const copy = Uint8Array.from(profile);
  copy.set(Buffer.from('scnr', 'latin1'), CLASS_OFFSET);
  copy.fill(0, PROFILE_ID.start, PROFILE_ID.end);
  return copy;
}
