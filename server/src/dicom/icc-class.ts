/** ICC Profile (0028,2000) must be of an input device (PS3.3 C.11.15.1.1); stock sRGB profiles are of a display. */
import { StainError } from '../errors.ts';

const CLASS_OFFSET = 12;
const SIGNATURE_OFFSET = 36;
/** Profile ID: an MD5 over the profile, wrong once the class is another; zero says that there is none (ICC.1 7.2.18). */
const PROFILE_ID = { start: 84, end: 100 };
const HEADER_BYTES = 128;

/**
 * The same profile with device class 'scnr' and without a profile ID.
 * @throws ICC_PROFILE_INVALID where the bytes are no ICC profile
 */
export function inputDeviceProfile(profile: Uint8Array): Uint8Array {
  const signature = String.fromCharCode(...profile.subarray(SIGNATURE_OFFSET, SIGNATURE_OFFSET + 4));
  if (profile.length < HEADER_BYTES || signature !== 'acsp')
    throw new StainError('ICC_PROFILE_INVALID', 'The bytes are no ICC profile.');
  const copy = Uint8Array.from(profile);
  copy.set(Buffer.from('scnr', 'latin1'), CLASS_OFFSET);
  copy.fill(0, PROFILE_ID.start, PROFILE_ID.end);
  return copy;
}
