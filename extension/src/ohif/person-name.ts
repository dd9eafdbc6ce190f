/** Who is logged in, as DICOM writes names. */
import { shortened } from './shortened.ts';
import type { UserProfile } from './types.ts';

/** Maximum length of a component group (PS3.5 6.2), which some readers count in bytes. */
const MAX_LENGTH = 64;

/** As PN: family^given where the login has both, one component otherwise; undefined if it has no name. */
export function personName({
  family_name,
  given_name,
  name,
  preferred_username,
}: UserProfile): string | undefined {
  const [family, given] = [component(family_name), component(given_name)];
  const whole =
    family && given ? `${family}^${given}` : component(name) || family || component(preferred_username);
  return whole ? shortened(whole, MAX_LENGTH) : undefined;
}

/** Without the characters that separate parts of a name. */
function component(claim: unknown): string {
  return typeof claim === 'string' ? shortened(claim.replace(/[\^=]+/g, ' '), MAX_LENGTH) : '';
}
