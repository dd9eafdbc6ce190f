import { expect, test } from 'vitest';
import { personName } from '../../extension/src/ohif/person-name.ts';

test.each([
  [{ family_name: 'Muster', given_name: 'Maria', name: 'Dr. Maria Muster' }, 'Muster^Maria'],
  [{ name: 'Maria Muster', preferred_username: 'mmuster' }, 'Maria Muster'],
  [{ family_name: 'Muster' }, 'Muster'],
  [{ preferred_username: 'mmuster' }, 'mmuster'],
  [{ family_name: 'A^B=C\\D', given_name: '\u0007 E ' }, 'A B C D^E'],
  [{ name: 'ä'.repeat(40) }, 'ä'.repeat(32)],
  [{ name: ' ', preferred_username: 7 }, undefined],
  [{}, undefined],
])('the name of %j is %s', (profile, name) => expect(personName(profile)).toBe(name));
