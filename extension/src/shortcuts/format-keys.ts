/** Keys as they are written on a keyboard. */

import { translateName } from '../strings/translate.ts';

/** @param keys in Mousetrap's spelling: "shift+t" */
export function formatKeys(keys: string): string {
  return keys
    .split('+')
    .map((key) => translateName('key', key.length === 1 ? key.toUpperCase() : key))
    .join(' + ');
}
